//! A slow request costs only itself: its waits end in time, and its instance answers other requests.

use crate::common::has_replaced_an_instance;
use anyhow::{Context, Result, ensure};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use visits_tests::{App, Host, Reply, artifacts, get, make_fifo};

/// The time limit of a request.
const LIMIT: Duration = Duration::from_secs(2);

/// A server that sends a byte of its response at every interval, or never responds.
struct Upstream {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Upstream {
    async fn start(interval: Option<Duration>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                open.push(tokio::spawn(async move {
                    let mut request = [0; 1024];
                    let _ = stream.read(&mut request).await;
                    let Some(interval) = interval else {
                        return std::future::pending().await;
                    };
                    let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n";
                    let mut written = stream.write_all(head.as_bytes()).await;
                    while written.is_ok() {
                        tokio::time::sleep(interval).await;
                        written = stream.write_all(b"x").await;
                    }
                }));
            }
        });
        Ok(Self { address, task })
    }

    fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts a host whose component may send requests to any port of this machine.
async fn probe() -> Result<(App, Host)> {
    let lines = "allowed_outbound_hosts = [\"http://127.0.0.1:*\"]";
    let app = App::with_manifest_lines(&artifacts::probe_wasm()?, lines)?;
    let host = Host::of(&app)
        .arg(format!("--request-timeout={}s", LIMIT.as_secs()))
        .start()
        .await?;
    Ok((app, host))
}

/// Returns the reply to a slow request and how long it took. Asserts that requests before, during and after it are
/// answered by the same instance.
async fn beside_others(host: &Host, path: &str) -> Result<(Reply, Duration)> {
    let started = Instant::now();
    let slow = async {
        let reply = get(host.address(), path).await?;
        anyhow::Ok((reply, started.elapsed()))
    };
    let others = async {
        let sleep = format!("/sleep?milliseconds={}", LIMIT.as_millis() / 2);
        while started.elapsed() < LIMIT + LIMIT {
            let reply = get(host.address(), &sleep).await?;
            ensure!(
                reply.text() == "slept\n",
                host.failed(&format!("{reply:?}"))
            );
        }
        Ok(())
    };
    let (slow, others) = tokio::join!(slow, others);
    others?;
    ensure!(
        !has_replaced_an_instance(host),
        host.failed("the instance was replaced")
    );
    slow
}

#[tokio::test]
async fn a_wait_for_a_silent_upstream_fails_in_time_for_the_components_response() -> Result<()> {
    let (_app, host) = probe().await?;
    let upstream = Upstream::start(None).await?;
    let path = format!("/fetch?url={}", upstream.url());
    let (reply, after) = beside_others(&host, &path).await?;
    ensure!(
        reply.status == 200 && reply.text().contains("ConnectionReadTimeout"),
        host.failed(&format!("the component received no error: {reply:?}"))
    );
    ensure!(after < LIMIT, "only after {after:?}");
    Ok(())
}

#[tokio::test]
async fn a_wait_for_a_trickling_upstream_fails_in_time_for_the_components_response() -> Result<()> {
    let (_app, host) = probe().await?;
    let upstream = Upstream::start(Some(Duration::from_millis(50))).await?;
    let path = format!("/fetch?url={}", upstream.url());
    let (reply, after) = beside_others(&host, &path).await?;
    ensure!(
        reply.status == 200 && reply.text().contains("HttpResponseTimeout"),
        host.failed(&format!("the component received no error: {reply:?}"))
    );
    ensure!(after < LIMIT, "only after {after:?}");
    Ok(())
}

#[tokio::test]
async fn a_wait_for_the_volume_does_not_delay_other_requests() -> Result<()> {
    let (app, host) = probe().await?;
    let pipe = app.volume().join("pipe");
    make_fifo(&pipe)?;
    let (reply, after) = beside_others(&host, "/open?name=pipe").await?;
    ensure!(reply.status == 504, host.failed(&format!("{reply:?}")));
    ensure!(after >= LIMIT, "already after {after:?}");
    host.wait_log("the request exceeded the time limit").await?;
    // Ends the file call, so that the host can drain.
    let _ = std::fs::OpenOptions::new().write(true).open(pipe);
    Ok(())
}

#[tokio::test]
async fn a_component_that_answers_no_request_is_replaced() -> Result<()> {
    let (_app, host) = probe().await?;
    let reply = get(host.address(), "/hang").await?;
    ensure!(reply.status == 504, host.failed(&format!("{reply:?}")));
    host.wait_log("a new instance takes over").await?;
    ensure!(get(host.address(), "/hello").await?.status == 200);
    Ok(())
}

#[tokio::test]
async fn a_stuck_request_does_not_delay_the_drain() -> Result<()> {
    let (_app, host) = probe().await?;
    ensure!(get(host.address(), "/hang").await?.status == 504);
    host.signal(visits_tests::Signal::TERM)?;
    let exit = host.wait_exit(visits_tests::DEADLINE).await?;
    ensure!(exit.code == Some(0), host.failed("the exit code is not 0"));
    Ok(())
}

#[tokio::test]
async fn a_response_that_has_begun_may_wait_for_its_upstream() -> Result<()> {
    let (_app, host) = probe().await?;
    let upstream = Upstream::start(Some(Duration::from_millis(100))).await?;
    let path = format!("/relay?url={}", upstream.url());
    let mut connection = visits_tests::Connection::open(host.address()).await?;
    let request = http::Request::get(path).body(visits_tests::client::empty())?;
    let mut body = connection.send(request).await?.into_body();
    let started = Instant::now();
    while started.elapsed() < LIMIT + LIMIT / 2 {
        let frame = http_body_util::BodyExt::frame(&mut body).await;
        frame.context("the body has ended")??;
    }
    Ok(())
}
