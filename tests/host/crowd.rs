//! More clients than there are connections: a new client, such as a health probe, is answered all the same, and no
//! visit in flight is lost.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures::StreamExt;
use futures::channel::mpsc;
use futures::future::join_all;
use http::Request;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use visits_tests::client::stream;
use visits_tests::load::{self, assert_exactly, visits_bin};
use visits_tests::{App, Connection, DEADLINE, Host, Raw, artifacts, get};

const CONNECTIONS: usize = 128;
const PROBES: usize = 50;
/// What a kubelet waits for its probe by default.
const PROBE_LIMIT: Duration = Duration::from_secs(1);

async fn counter() -> Result<(App, Host)> {
    let app = App::new(&artifacts::visits_wasm()?)?;
    let host = Host::of(&app)
        .arg(format!("--max-connections={CONNECTIONS}"))
        .arg("--header-timeout=5m")
        .start()
        .await?;
    Ok((app, host))
}

/// A visit on a connection of its own, which is kept open; and its number.
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
async fn a_probe_is_answered_while_idle_connections_take_every_place() -> Result<()> {
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
    // Those that were idle longest are the ones that were closed.
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
async fn a_probe_is_answered_while_trickling_heads_take_every_place() -> Result<()> {
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
        // One more byte on each, and a new one for each that was closed.
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
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_probe_is_answered_while_busy_connections_take_every_place() -> Result<()> {
    let (app, host) = counter().await?;
    let (done, running) = (AtomicBool::new(false), AtomicUsize::new(0));
    // Each visits, and visits again: on a new connection if its own was closed.
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
        while running.load(Relaxed) < CONNECTIONS {
            tokio::task::yield_now().await;
        }
        let mut numbers = Vec::new();
        for _ in 0..PROBES {
            numbers.push(probe(&host).await.map(|(_, number)| number));
        }
        done.store(true, Relaxed);
        numbers
    };
    let clients = join_all((0..CONNECTIONS + CONNECTIONS / 4).map(|_| client()));
    let (visits, probes) = tokio::join!(clients, probes);
    let mut numbers = visits.concat();
    for number in probes {
        numbers.push(number?);
    }
    let last = visits_bin(&app.volume())?;
    ensure!(last > (CONNECTIONS + PROBES) as u64, "{last} visits only");
    // Exactly those that were acknowledged are counted.
    assert_exactly(numbers, 1, last);
    Ok(())
}

/// A request whose body goes on, piece by piece, and comes back.
struct Echo {
    _connection: Connection,
    pieces: mpsc::UnboundedSender<&'static str>,
    echoed: hyper::body::Incoming,
}

impl Echo {
    async fn start(host: &Host) -> Result<Self> {
        let (pieces, body) = mpsc::unbounded();
        let body =
            body.map(|piece| anyhow::Ok(Frame::data(Bytes::from_static(str::as_bytes(piece)))));
        let request = Request::post("/echo").body(stream(StreamBody::new(body)))?;
        let mut connection = Connection::open(host.address()).await?;
        pieces.unbounded_send("first")?;
        let mut echo = Self {
            echoed: connection.send(request).await?.into_body(),
            _connection: connection,
            pieces,
        };
        echo.comes_back("first").await?;
        Ok(echo)
    }

    async fn goes_on(&mut self) -> Result<()> {
        self.pieces.unbounded_send("more")?;
        self.comes_back("more").await
    }

    async fn comes_back(&mut self, piece: &str) -> Result<()> {
        let frame = tokio::time::timeout(DEADLINE, self.echoed.frame()).await?;
        let frame = frame.context("the body has ended")??;
        ensure!(
            frame.data_ref().is_some_and(|data| data == piece),
            "{frame:?}"
        );
        Ok(())
    }
}

#[tokio::test]
async fn connections_that_hold_requests_are_never_closed_for_a_new_one() -> Result<()> {
    let app = App::new(&artifacts::probe_wasm()?)?;
    let host = Host::of(&app).arg("--max-connections=2").start().await?;
    let mut first = Echo::start(&host).await?;
    let mut second = Echo::start(&host).await?;
    let mut third = Raw::open(host.address()).await?;
    third
        .write("GET /hello HTTP/1.1\r\nhost: a\r\n\r\n")
        .await?;
    host.wait_log("all connections are taken").await?;
    first.goes_on().await?;
    second.goes_on().await?;
    drop(first);
    third.read_until("\r\n\r\nhello\n").await?;
    second.goes_on().await
}

/// A client that only connects, as a probe of `tcpSocket` does, is one more idle connection.
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
