//! Ends of connections: the drain, the idle limit, and room for new clients.

use super::{counter, probe};
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures::channel::mpsc;
use futures::future::join_all;
use http::Request;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use visits_tests::client::stream;
use visits_tests::load::{assert_exactly, visits_bin};
use visits_tests::{DEADLINE, Host, Http2, Reply, Signal, get, wait};

#[tokio::test]
async fn a_drain_answers_requests_in_flight_and_closes_idle_connections() -> Result<()> {
    let (_app, host) = probe(&[]).await?;
    let mut idle = Http2::open(host.address()).await?;
    ensure!(idle.get("/hello").await?.status == 200);
    let (mut rest, body) = mpsc::channel(1);
    let mut busy = Http2::open(host.address()).await?;
    rest.try_send(anyhow::Ok(Frame::data(Bytes::from_static(b"begun"))))?;
    let request = Request::post("/echo").body(stream(StreamBody::new(body)))?;
    let mut echoed = busy.send(request).await?.into_body();
    echoed.frame().await.context("the body has ended")??;
    host.signal(Signal::TERM)?;
    idle.closed(DEADLINE).await.context("the idle connection")?;
    rest.try_send(Ok(Frame::data(Bytes::from_static(b"ended"))))?;
    drop(rest);
    ensure!(echoed.collect().await?.to_bytes() == "ended");
    busy.closed(DEADLINE).await.context("the busy connection")?;
    let exit = host.wait_exit(DEADLINE).await?;
    ensure!(exit.code == Some(0), host.failed("the exit code is not 0"));
    Ok(())
}

/// Clients visit until the host stops. The host acknowledges every visit that it has begun, so it counts exactly the
/// answered ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_under_load_counts_exactly_the_answered_visits() -> Result<()> {
    let (app, host) = counter(&[]).await?;
    let answered = AtomicU64::new(0);
    let client = || async {
        let Ok(connection) = Http2::open(host.address()).await else {
            return Vec::new();
        };
        let visitor = || async {
            let mut numbers = Vec::new();
            while let Ok(number) = connection.visit().await {
                answered.fetch_add(1, Relaxed);
                numbers.push(number);
            }
            numbers
        };
        join_all((0..20).map(|_| visitor())).await.concat()
    };
    let load = async { join_all((0..4).map(|_| client())).await.concat() };
    let stop = async {
        wait::until("500 visits", DEADLINE, async || {
            Ok((answered.load(Relaxed) >= 500).then_some(()))
        })
        .await?;
        host.signal(Signal::TERM)?;
        host.wait_exit(DEADLINE).await
    };
    let (numbers, exit) = tokio::join!(load, stop);
    ensure!(exit?.code == Some(0), host.failed("the exit code is not 0"));
    let last = numbers.len() as u64;
    assert_exactly(numbers, 1, last);
    assert_eq!(visits_bin(&app.volume())?, last);
    Ok(())
}

async fn get_at_once(host: &Host, path: &str) -> Result<Reply> {
    let reply = tokio::time::timeout(Duration::from_secs(1), get(host.address(), path));
    reply
        .await
        .map_err(|_| host.failed("no response within 1 s"))?
}

#[tokio::test]
async fn an_idle_connection_is_closed_for_a_new_client() -> Result<()> {
    let (_app, host) = probe(&["--max-connections=2"]).await?;
    let mut first = Http2::open(host.address()).await?;
    ensure!(first.get("/hello").await?.status == 200);
    let second = Http2::open(host.address()).await?;
    ensure!(second.get("/hello").await?.status == 200);
    ensure!(get_at_once(&host, "/hello").await?.status == 200);
    first
        .closed(DEADLINE)
        .await
        .context("the connection that was idle longest")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_never_idle_make_room_and_lose_no_visit() -> Result<()> {
    let (app, host) = counter(&["--max-connections=2"]).await?;
    let done = std::sync::atomic::AtomicBool::new(false);
    let visitor = || async {
        let mut numbers = Vec::new();
        while !done.load(Relaxed) {
            let Ok(connection) = Http2::open(host.address()).await else {
                continue;
            };
            // With three visitors, at least two requests are always in flight, so the connection is never idle.
            let one = || async {
                let mut numbers = Vec::new();
                while !done.load(Relaxed)
                    && let Ok(number) = connection.visit().await
                {
                    numbers.push(number);
                }
                numbers
            };
            let (a, b, c) = tokio::join!(one(), one(), one());
            numbers.extend(a.into_iter().chain(b).chain(c));
        }
        numbers
    };
    let probes = async {
        let mut answered = 0;
        for _ in 0..20 {
            let reply = get_at_once(&host, "/visits").await?;
            // The host holds twice --max-connections requests, half of them waiting, and refuses more.
            let is_refused = reply.status == 503 && reply.text().starts_with("too many requests");
            ensure!(reply.status == 200 || is_refused, "{reply:?}");
            answered += usize::from(!is_refused);
        }
        ensure!(answered >= 10, "only {answered} of 20 probes got the count");
        host.wait_log("all connections are taken").await?;
        anyhow::Ok(())
    };
    let (first, second, probes) = tokio::join!(visitor(), visitor(), async {
        let probes = probes.await;
        done.store(true, Relaxed);
        probes
    });
    probes?;
    let numbers = [first, second].concat();
    let last = numbers.len() as u64;
    ensure!(last >= 20, "only {last} visits");
    assert_exactly(numbers, 1, last);
    assert_eq!(visits_bin(&app.volume())?, last);
    Ok(())
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_the_idle_limit() -> Result<()> {
    let (_app, host) = probe(&["--idle-timeout=300ms"]).await?;
    let mut connection = Http2::open(host.address()).await?;
    ensure!(connection.get("/hello").await?.status == 200);
    connection.closed(DEADLINE).await
}
