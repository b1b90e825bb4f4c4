//! The end of a host: what is in flight is finished, what is idle is closed, and a deadline and a second signal cut
//! both short.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures::channel::mpsc;
use http::Request;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use visits_tests::client::stream;
use visits_tests::{App, Connection, DEADLINE, Host, Raw, Signal, artifacts};

/// A request in the middle of its body: the host has it for certain, for a piece of it has come back.
struct InFlight {
    rest: mpsc::Sender<Result<Frame<Bytes>>>,
    echoed: Incoming,
    connection: Connection,
}

impl InFlight {
    async fn start(host: &Host) -> Result<Self> {
        let (mut rest, body) = mpsc::channel(1);
        let mut connection = Connection::open(host.address()).await?;
        rest.try_send(Ok(Frame::data(Bytes::from_static(b"begun"))))?;
        let request = Request::post("/echo").body(stream(StreamBody::new(body)))?;
        let mut echoed = connection.send(request).await?.into_body();
        echoed
            .frame()
            .await
            .context("the first piece comes back")??;
        Ok(Self {
            rest,
            echoed,
            connection,
        })
    }

    /// Ends the body, reads what is still to come back, and waits until the host closes the connection.
    async fn finish(mut self) -> Result<Bytes> {
        self.rest
            .try_send(Ok(Frame::data(Bytes::from_static(b"ended"))))?;
        drop(self.rest);
        let echoed = self.echoed.collect().await?.to_bytes();
        self.connection.closed(DEADLINE).await?;
        Ok(echoed)
    }
}

async fn probe(arguments: &[&str]) -> Result<(App, Host)> {
    let app = App::new(&artifacts::probe_wasm()?)?;
    let host = Host::of(&app)
        .args(arguments.iter().copied())
        .start()
        .await?;
    Ok((app, host))
}

async fn draining_with(host: &Host, signal: Signal, requests: u64) -> Result<()> {
    host.signal(signal)?;
    let log = host.wait_log("draining").await?;
    ensure!(
        log["fields"]["requests"] == requests,
        host.failed("another number of requests in flight")
    );
    Ok(())
}

#[tokio::test]
async fn both_signals_finish_what_is_in_flight_and_close_what_is_idle() -> Result<()> {
    for signal in [Signal::TERM, Signal::INT] {
        let (_app, host) = probe(&["--header-timeout=1m"]).await?;
        let mut idle = Connection::open(host.address()).await?;
        ensure!(idle.get("/hello").await?.status == 200);
        let mut silent = Raw::open(host.address()).await?;
        let in_flight = InFlight::start(&host).await?;

        draining_with(&host, signal, 1).await?;
        idle.closed(DEADLINE).await.context("the idle connection")?;
        silent
            .read_to_end(DEADLINE)
            .await
            .context("the silent connection")?;
        ensure!(
            TcpStream::connect(host.address()).await.is_err(),
            host.failed("it still accepts")
        );

        ensure!(
            in_flight.finish().await? == "ended",
            host.failed("another echo")
        );
        let exit = host.wait_exit(DEADLINE).await?;
        ensure!(exit.code == Some(0), host.failed("it must exit with 0"));
    }
    Ok(())
}

#[tokio::test]
async fn a_client_that_uses_its_connection_is_told_to_take_another() -> Result<()> {
    let (_app, host) = probe(&[]).await?;
    let mut connection = Connection::open(host.address()).await?;
    let reply = connection.get("/hello").await?;
    ensure!(reply.header("connection").is_empty(), "{reply:?}");
    draining_with(&host, Signal::TERM, 0).await?;
    let reply = connection.get("/hello").await?;
    ensure!(reply.status == 200, host.failed("it is not answered"));
    ensure!(reply.header("connection") == "close", "{reply:?}");
    connection.closed(DEADLINE).await?;
    let exit = host.wait_exit(DEADLINE).await?;
    ensure!(exit.code == Some(0), host.failed("it must exit with 0"));
    Ok(())
}

#[tokio::test]
async fn what_a_component_does_after_its_answer_is_finished() -> Result<()> {
    let (app, host) = probe(&[]).await?;
    let reply = visits_tests::get(host.address(), "/write-later?name=late").await?;
    ensure!(reply.text() == "later\n");
    host.signal(Signal::TERM)?;
    let exit = host.wait_exit(DEADLINE).await?;
    ensure!(exit.code == Some(0), host.failed("it must exit with 0"));
    ensure!(
        app.volume().join("late").exists(),
        host.failed("it did not wait")
    );
    Ok(())
}

#[tokio::test]
async fn a_second_signal_ends_at_once_with_its_number() -> Result<()> {
    let (_app, host) = probe(&[]).await?;
    let _in_flight = InFlight::start(&host).await?;
    draining_with(&host, Signal::TERM, 1).await?;
    host.signal(Signal::INT)?;
    let exit = host.wait_exit(DEADLINE).await?;
    ensure!(
        exit.code == Some(128 + 2),
        host.failed("it must exit with 130")
    );
    Ok(())
}

#[tokio::test]
async fn the_deadline_cuts_what_is_left_and_says_how_much() -> Result<()> {
    let (_app, host) = probe(&["--drain-timeout=300ms"]).await?;
    let _one = InFlight::start(&host).await?;
    let _two = InFlight::start(&host).await?;
    let started = Instant::now();
    draining_with(&host, Signal::TERM, 2).await?;
    let exit = host.wait_exit(DEADLINE).await?;
    ensure!(exit.code == Some(1), host.failed("it must exit with 1"));
    ensure!(
        started.elapsed() >= Duration::from_millis(300),
        "cut too early"
    );
    // Not always the last line: the instance that is stopped logs what became of its bodies.
    let says = |line: &String| line.starts_with("error: 2 requests were cut");
    ensure!(
        host.stderr().lines().iter().any(says),
        host.failed("it does not say what it cut")
    );
    Ok(())
}

#[tokio::test]
async fn a_component_that_never_ends_is_cut_by_the_deadline() -> Result<()> {
    let (_app, host) = probe(&["--drain-timeout=500ms", "--request-timeout=1m"]).await?;
    ensure!(
        visits_tests::get(host.address(), "/loop-later")
            .await?
            .text()
            == "later\n"
    );
    host.signal(Signal::TERM)?;
    let exit = host.wait_exit(DEADLINE).await?;
    ensure!(exit.code == Some(1), host.failed("it must exit with 1"));
    Ok(())
}
