//! The drain: the host finishes requests in flight and closes idle connections. A deadline and a second signal cut it
//! short.

use crate::common::{Echo, has_logged, probe, text};
use anyhow::{Context, Result, ensure};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use visits_tests::{Connection, DEADLINE, Host, Raw, Signal, make_fifo};

async fn draining_with(host: &Host, signal: Signal, requests: u64) -> Result<()> {
    host.signal(signal)?;
    let log = host.wait_log("draining").await?;
    ensure!(
        log["fields"]["requests"] == requests,
        host.failed("the number of requests in flight is wrong")
    );
    Ok(())
}

#[tokio::test]
async fn both_signals_finish_requests_in_flight_and_close_idle_connections() -> Result<()> {
    for signal in [Signal::TERM, Signal::INT] {
        let (_app, host) = probe(&["--header-timeout=1m"]).await?;
        let mut idle = Connection::open(host.address()).await?;
        ensure!(idle.get("/hello").await?.status == 200);
        let mut silent = Raw::open(host.address()).await?;
        let in_flight = Echo::start(&host).await?;

        draining_with(&host, signal, 1).await?;
        idle.closed(DEADLINE).await.context("the idle connection")?;
        silent
            .read_to_end(DEADLINE)
            .await
            .context("the silent connection")?;
        ensure!(
            TcpStream::connect(host.address()).await.is_err(),
            host.failed("the host still accepts connections")
        );

        ensure!(
            in_flight.finish().await? == "ended",
            host.failed("the echo is wrong")
        );
        let exit = host.wait_exit(DEADLINE).await?;
        ensure!(exit.code == Some(0), host.failed("the exit code is not 0"));
    }
    Ok(())
}

#[tokio::test]
async fn a_request_during_the_drain_is_answered_with_connection_close() -> Result<()> {
    let (_app, host) = probe(&[]).await?;
    let mut connection = Connection::open(host.address()).await?;
    let reply = connection.get("/hello").await?;
    ensure!(reply.header("connection").is_empty(), "{reply:?}");
    draining_with(&host, Signal::TERM, 0).await?;
    let reply = connection.get("/hello").await?;
    ensure!(
        reply.status == 200,
        host.failed("the request was not answered")
    );
    ensure!(reply.header("connection") == "close", "{reply:?}");
    connection.closed(DEADLINE).await?;
    let exit = host.wait_exit(DEADLINE).await?;
    ensure!(exit.code == Some(0), host.failed("the exit code is not 0"));
    Ok(())
}

#[tokio::test]
async fn work_after_a_response_is_finished() -> Result<()> {
    let (app, host) = probe(&[]).await?;
    ensure!(text(&host, "/write-later?name=late").await? == "later\n");
    host.signal(Signal::TERM)?;
    let exit = host.wait_exit(DEADLINE).await?;
    ensure!(exit.code == Some(0), host.failed("the exit code is not 0"));
    ensure!(
        app.volume().join("late").exists(),
        host.failed("the host did not wait")
    );
    Ok(())
}

#[tokio::test]
async fn a_second_signal_ends_the_host_at_once_with_its_number() -> Result<()> {
    let (_app, host) = probe(&[]).await?;
    let _in_flight = Echo::start(&host).await?;
    draining_with(&host, Signal::TERM, 1).await?;
    host.signal(Signal::INT)?;
    let exit = host.wait_exit(DEADLINE).await?;
    ensure!(
        exit.code == Some(128 + 2),
        host.failed("the exit code is not 130")
    );
    Ok(())
}

#[tokio::test]
async fn the_deadline_cuts_the_remaining_requests_and_reports_their_number() -> Result<()> {
    let (_app, host) = probe(&["--drain-timeout=300ms"]).await?;
    let _one = Echo::start(&host).await?;
    let _two = Echo::start(&host).await?;
    let started = Instant::now();
    draining_with(&host, Signal::TERM, 2).await?;
    let exit = host.wait_exit(DEADLINE).await?;
    ensure!(exit.code == Some(1), host.failed("the exit code is not 1"));
    ensure!(
        started.elapsed() >= Duration::from_millis(300),
        "cut too early"
    );
    // Not always the last line, because the stopped instance logs the errors of its bodies.
    ensure!(
        has_logged(&host, "error: 2 requests were cut"),
        host.failed("the number of requests is not reported")
    );
    Ok(())
}

#[tokio::test]
async fn a_component_that_never_ends_is_stopped_at_the_deadline() -> Result<()> {
    let (_app, host) = probe(&["--drain-timeout=500ms", "--request-timeout=1m"]).await?;
    ensure!(text(&host, "/loop-later").await? == "later\n");
    host.signal(Signal::TERM)?;
    let exit = host.wait_exit(DEADLINE).await?;
    ensure!(exit.code == Some(1), host.failed("the exit code is not 1"));
    Ok(())
}

#[tokio::test]
async fn a_file_call_that_hangs_does_not_keep_the_host_beyond_the_deadline() -> Result<()> {
    let (app, host) = probe(&["--drain-timeout=300ms", "--request-timeout=1m"]).await?;
    make_fifo(&app.volume().join("pipe"))?;
    let mut hanging = Raw::open(host.address()).await?;
    hanging
        .write("GET /open?name=pipe HTTP/1.1\r\nhost: a\r\n\r\n")
        .await?;
    // The host has taken the request before this one.
    ensure!(text(&host, "/hello").await? == "hello\n");
    draining_with(&host, Signal::TERM, 1).await?;
    let exit = host.wait_exit(DEADLINE).await?;
    ensure!(exit.code == Some(1), host.failed("the exit code is not 1"));
    Ok(())
}
