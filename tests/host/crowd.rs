//! More clients than connections. A new client, such as a health probe, is still answered, and no visit in flight is
//! lost.

use crate::common::{self, Echo};
use anyhow::{Context, Result, ensure};
use futures::future::join_all;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use visits_tests::load::{self, assert_exactly, visits_bin};
use visits_tests::{App, Connection, DEADLINE, Host, Raw, get, wait};

const CONNECTIONS: usize = 128;
const PROBES: usize = 50;
/// A kubelet's default timeout for a probe.
const PROBE_LIMIT: Duration = Duration::from_secs(1);

async fn counter() -> Result<(App, Host)> {
    let connections = format!("--max-connections={CONNECTIONS}");
    common::counter(&[&connections, "--header-timeout=5m"]).await
}

/// Visits on a new connection. Returns the connection, which is still open, and the visit's number.
async fn probe(host: &Host) -> Result<(Connection, u64)> {
    let started = Instant::now();
    let answered = tokio::time::timeout(PROBE_LIMIT, async {
        let mut connection = Connection::open(host.address()).await?;
        let number = load::visit(&mut connection).await?;
        anyhow::Ok((connection, number))
    });
    answered
        .await
        .map_err(|_| host.failed(&format!("no answer within {PROBE_LIMIT:?}")))?
        .with_context(|| format!("after {:?}", started.elapsed()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_probe_is_answered_while_idle_connections_reach_the_limit() -> Result<()> {
    let (app, host) = counter().await?;
    let mut numbers = Vec::new();
    let mut idle = Vec::new();
    for _ in 0..CONNECTIONS {
        let (connection, number) = probe(&host).await?;
        idle.push(connection);
        numbers.push(number);
    }
    for _ in 0..PROBES {
        let (connection, number) = probe(&host).await?;
        idle.push(connection);
        numbers.push(number);
    }
    let last = (CONNECTIONS + PROBES) as u64;
    assert_exactly(numbers, 1, last);
    assert_eq!(visits_bin(&app.volume())?, last);
    // The host closed the connections that were idle longest.
    for connection in &mut idle[..PROBES] {
        connection.closed(PROBE_LIMIT).await?;
    }
    for connection in &mut idle[PROBES..] {
        load::visit(connection).await?;
    }
    host.wait_log("all connections are taken").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_probe_is_answered_while_trickling_heads_reach_the_limit() -> Result<()> {
    let (app, host) = counter().await?;
    let mut trickling = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut connection = Raw::open(host.address()).await?;
        connection.write("GET / HTTP/1.1\r\nx: ").await?;
        trickling.push(connection);
    }
    let mut numbers = Vec::new();
    for _ in 0..PROBES {
        let (probe, number) = probe(&host).await?;
        drop(probe);
        numbers.push(number);
        // Sends one more byte on each connection, and replaces each closed one.
        let mut open = Vec::new();
        for mut connection in trickling {
            match connection.write("y").await {
                Ok(()) => open.push(connection),
                Err(_) => open.push(Raw::open(host.address()).await?),
            }
        }
        let mut more = Raw::open(host.address()).await?;
        more.write("GET / HTTP/1.1\r\nx: ").await?;
        open.push(more);
        trickling = open;
    }
    assert_exactly(numbers, 1, PROBES as u64);
    assert_eq!(visits_bin(&app.volume())?, PROBES as u64);
    host.wait_log("all connections are taken").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_probe_is_answered_while_busy_connections_reach_the_limit() -> Result<()> {
    let (app, host) = counter().await?;
    let (done, running) = (AtomicBool::new(false), AtomicUsize::new(0));
    // Each client visits again and again, on a new connection if its own was closed.
    let client = || async {
        let mut numbers = Vec::new();
        while !done.load(Relaxed) {
            let Ok(mut connection) = Connection::open(host.address()).await else {
                continue;
            };
            while let Ok(number) = load::visit(&mut connection).await {
                if numbers.is_empty() {
                    running.fetch_add(1, Relaxed);
                }
                numbers.push(number);
                if done.load(Relaxed) {
                    break;
                }
            }
        }
        numbers
    };
    let probes = async {
        let all_visit = wait::until("every connection has visited", DEADLINE, async || {
            Ok((running.load(Relaxed) >= CONNECTIONS).then_some(()))
        });
        let mut numbers = vec![all_visit.await.map(|()| None)];
        for _ in 0..PROBES {
            numbers.push(probe(&host).await.map(|(_, number)| Some(number)));
        }
        done.store(true, Relaxed);
        numbers
    };
    let clients = join_all((0..CONNECTIONS + CONNECTIONS / 4).map(|_| client()));
    let (visits, probes) = tokio::join!(clients, probes);
    let mut numbers = visits.concat();
    for number in probes {
        numbers.extend(number?);
    }
    let last = visits_bin(&app.volume())?;
    ensure!(last > (CONNECTIONS + PROBES) as u64, "only {last} visits");
    // Exactly the acknowledged visits are counted.
    assert_exactly(numbers, 1, last);
    host.wait_log("all connections are taken").await?;
    Ok(())
}

#[tokio::test]
async fn connections_that_hold_requests_are_never_closed_for_a_new_one() -> Result<()> {
    let (_app, host) = common::probe(&["--max-connections=2"]).await?;
    let mut first = Echo::start(&host).await?;
    let mut second = Echo::start(&host).await?;
    let mut third = Raw::open(host.address()).await?;
    third
        .write("GET /hello HTTP/1.1\r\nhost: a\r\n\r\n")
        .await?;
    host.wait_log("all connections are taken").await?;
    first.go_on().await?;
    second.go_on().await?;
    drop(first);
    third.read_until("\r\n\r\nhello\n").await?;
    second.go_on().await
}

/// A client that only connects, like a `tcpSocket` probe, is another idle connection.
#[tokio::test]
async fn connections_that_send_nothing_make_room_for_each_other() -> Result<()> {
    let (_app, host) = counter().await?;
    let mut silent = Vec::new();
    for _ in 0..2 * CONNECTIONS {
        silent.push(TcpStream::connect(host.address()).await?);
    }
    ensure!(get(host.address(), "/livez").await?.status == 200);
    probe(&host).await?;
    Ok(())
}
