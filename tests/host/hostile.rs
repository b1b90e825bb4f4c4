//! Everything at once: ten thousand idle connections, heads of a megabyte, pipelines and hidden requests, while a hundred
//! well-behaved clients are served.

use crate::common::counter;
use crate::smuggling::{ATTEMPTS, sent};
use anyhow::{Context, Result, ensure};
use futures::future::{join, join_all, try_join_all};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
use visits_tests::load::{assert_exactly, p99, visits_bin};
use visits_tests::{Connection, Host, Raw};

/// The idle connections, if the limit of open files allows them.
const IDLE: usize = 10_000;
/// The files that this process needs besides, in this test and in those that run beside it.
const OTHER_FILES: usize = 2_000;
/// The clients that behave, and their visits.
const CLIENTS: u64 = 100;
const VISITS: u64 = 50;
/// How long 99 of 100 of these visits may take.
const VISIT: Duration = Duration::from_secs(1);
/// The bytes of a head that is far too large.
const HEAD: usize = 1 << 20;

/// Raises this process's limit of open files as far as it goes. Returns how many idle connections fit.
fn room() -> Result<usize> {
    let limit = getrlimit(Resource::Nofile);
    let highest = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, highest).context("cannot raise the limit of open files")?;
    let files = limit
        .maximum
        .map_or(IDLE + OTHER_FILES, |files| files as usize);
    Ok(files.saturating_sub(OTHER_FILES).min(IDLE))
}

/// Opens a connection and leaves it idle after one request.
async fn idle(host: &Host) -> Result<Raw> {
    let mut connection = Raw::open(host.address()).await?;
    connection
        .write("GET /livez HTTP/1.1\r\nhost: a\r\n\r\n")
        .await?;
    connection.read_until("alive").await?;
    Ok(connection)
}

/// Attacks until the clients are done. Returns the number of attacks.
async fn attack(host: &Host, done: &AtomicBool) -> Result<usize> {
    let head = format!(
        "GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
        "y".repeat(HEAD)
    );
    let pipeline = "GET /livez HTTP/1.1\r\nhost: a\r\n\r\n".repeat(200);
    let last = "GET /livez HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let hidden = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    let mut attacks = 0;
    while !done.load(Relaxed) {
        // The host resets the connection while it is being written, so the response may be lost.
        let refused = sent(host, &head).await?;
        ensure!(
            refused.is_empty() || refused.contains(" 431 "),
            "{refused:?}"
        );
        let answered = sent(host, &[&pipeline, last].concat()).await?;
        // To make room, the host may close a connection after any response, and leave the rest of a pipeline unanswered.
        let responses = answered.matches("HTTP/1.1 ").count();
        ensure!(
            answered.matches("HTTP/1.1 200").count() == responses,
            "{answered}"
        );
        let (_, request, _) = ATTEMPTS[attacks % ATTEMPTS.len()];
        sent(host, &[request, hidden].concat()).await?;
        attacks += 1;
    }
    Ok(attacks)
}

/// Makes visits on one connection, or on a new one when the host has announced that it closes it. Returns their numbers and
/// how long each took.
async fn visits(host: &Host) -> Result<Vec<(u64, Duration)>> {
    let mut connection = Connection::open(host.address()).await?;
    let mut visits = Vec::new();
    for _ in 0..VISITS {
        let started = Instant::now();
        let reply = connection.get("/").await?;
        ensure!(reply.status == 200, "{reply:?}");
        let number = reply.text().trim_end().parse()?;
        visits.push((number, started.elapsed()));
        if reply.header("connection") == "close" {
            connection = Connection::open(host.address()).await?;
        }
    }
    Ok(visits)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_clients_are_served_beside_ten_thousand_idle_ones_and_attacks() -> Result<()> {
    let idle_ones = room()?;
    ensure!(
        idle_ones > 0,
        "the limit of open files leaves no connections"
    );
    let connections = format!("--max-connections={idle_ones}");
    let (app, host) = counter(&[&connections, "--header-timeout=1m"]).await?;
    let mut kept = Vec::new();
    for _ in 0..idle_ones {
        kept.push(
            idle(&host)
                .await
                .map_err(|error| host.failed(&format!("{error:#}")))?,
        );
    }
    let (done, started) = (AtomicBool::new(false), Instant::now());
    let left = AtomicUsize::new(CLIENTS as usize);
    let client = || async {
        let visits = visits(&host).await;
        if left.fetch_sub(1, Relaxed) == 1 {
            done.store(true, Relaxed);
        }
        visits
    };
    let clients = join_all((0..CLIENTS).map(|_| client()));
    let attackers = try_join_all((0..4).map(|_| attack(&host, &done)));
    let (visits, attacks) = join(clients, attackers).await;
    let attacks: usize = attacks
        .map_err(|error| host.failed(&format!("{error:#}")))?
        .iter()
        .sum();
    let visits: Vec<Vec<_>> = visits.into_iter().collect::<Result<_>>()?;
    let (numbers, times): (Vec<_>, Vec<_>) = visits.concat().into_iter().unzip();
    let p99 = p99(times);
    println!(
        "{idle_ones} idle connections, {attacks} rounds of attacks in {:?}: 99 of 100 visits within {p99:?}",
        started.elapsed()
    );
    ensure!(
        p99 < VISIT,
        host.failed(&format!("99 of 100 visits within {p99:?}"))
    );
    // No attack was counted, and no visit was lost.
    let last = CLIENTS * VISITS;
    assert_exactly(numbers, 1, last);
    ensure!(visits_bin(&app.volume())? == last);
    Ok(())
}
