//! Helpers that several modules of this suite share.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures::StreamExt;
use futures::channel::mpsc;
use http::Request;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use visits_tests::client::{RequestBody, stream};
use visits_tests::{App, Connection, DEADLINE, Host, HostBuilder, artifacts, get};

pub(crate) const MEGABYTE: usize = 1 << 20;

/// Starts a host that serves the probe.
pub(crate) async fn probe(arguments: &[&str]) -> Result<(App, Host)> {
    start(App::new(&artifacts::probe_wasm()?)?, arguments).await
}

/// Starts a host that serves the counter.
pub(crate) async fn counter(arguments: &[&str]) -> Result<(App, Host)> {
    start(App::new(&artifacts::visits_wasm()?)?, arguments).await
}

async fn start(app: App, arguments: &[&str]) -> Result<(App, Host)> {
    let host = Host::of(&app).args(arguments.iter().copied());
    let host = host.start().await?;
    Ok((app, host))
}

/// Starts a host that must refuse its input, and returns the single line of its error.
pub(crate) async fn refusal(host: HostBuilder, code: i32) -> Result<String> {
    // Without log lines, so that stderr contains only the error.
    let host = host.env("RUST_LOG", "off").spawn()?;
    let exit = host.wait_exit(DEADLINE).await?;
    ensure!(
        exit.code == Some(code),
        host.failed(&format!("the exit code is not {code}"))
    );
    ensure!(
        host.stdout().lines().is_empty(),
        host.failed("the host writes to stdout")
    );
    let lines = host.stderr().lines();
    ensure!(
        lines.len() == 1 && lines[0].starts_with("error: "),
        host.failed("the error is not a single line")
    );
    Ok(lines.concat())
}

/// Returns the body of the response to `GET path`.
pub(crate) async fn text(host: &Host, path: &str) -> Result<String> {
    Ok(get(host.address(), path).await?.text().to_owned())
}

/// Returns whether the host has replaced an instance.
pub(crate) fn has_replaced_an_instance(host: &Host) -> bool {
    has_logged(host, "a new instance takes over")
}

/// Returns whether a line of the host's log contains this text.
pub(crate) fn has_logged(host: &Host, text: &str) -> bool {
    host.stderr().lines().iter().any(|line| line.contains(text))
}

/// Returns the process's peak resident memory in bytes.
pub(crate) fn peak_memory(host: &Host) -> Result<usize> {
    memory(host, "VmHWM:")
}

/// Returns the process's anonymous resident memory in bytes.
pub(crate) fn anonymous_memory(host: &Host) -> Result<usize> {
    memory(host, "RssAnon:")
}

fn memory(host: &Host, field: &str) -> Result<usize> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kilobytes = line.with_context(|| format!("no {field}"))?;
    let kilobytes = kilobytes.trim().trim_end_matches(" kB");
    Ok(kilobytes.parse::<usize>()? * 1024)
}

/// Returns a body of this number of pieces, each a megabyte of sevens.
pub(crate) fn megabytes(count: usize) -> RequestBody {
    let piece = Bytes::from(vec![7; MEGABYTE]);
    let pieces = std::iter::repeat_n(piece, count).map(|piece| anyhow::Ok(Frame::data(piece)));
    stream(StreamBody::new(futures::stream::iter(pieces)))
}

/// A request in the middle of its body, which the component sends back. The host holds it, because a piece has come
/// back.
pub(crate) struct Echo {
    connection: Connection,
    pieces: mpsc::UnboundedSender<&'static str>,
    echoed: Incoming,
}

impl Echo {
    pub(crate) async fn start(host: &Host) -> Result<Self> {
        let (pieces, body) = mpsc::unbounded();
        let body =
            body.map(|piece| anyhow::Ok(Frame::data(Bytes::from_static(str::as_bytes(piece)))));
        let request = Request::post("/echo").body(stream(StreamBody::new(body)))?;
        let mut connection = Connection::open(host.address()).await?;
        pieces.unbounded_send("begun")?;
        let mut echo = Self {
            echoed: connection.send(request).await?.into_body(),
            connection,
            pieces,
        };
        echo.wait_for("begun").await?;
        Ok(echo)
    }

    /// Sends one more piece, and waits until it comes back.
    pub(crate) async fn go_on(&mut self) -> Result<()> {
        self.pieces.unbounded_send("more")?;
        self.wait_for("more").await
    }

    async fn wait_for(&mut self, piece: &str) -> Result<()> {
        let frame = tokio::time::timeout(DEADLINE, self.echoed.frame()).await?;
        let frame = frame.context("the body has ended")??;
        ensure!(
            frame.data_ref().is_some_and(|data| data == piece),
            "{frame:?}"
        );
        Ok(())
    }

    /// Sends the last piece, `ended`. Returns the rest of the echo after the host has closed the connection.
    pub(crate) async fn finish(mut self) -> Result<Bytes> {
        self.pieces.unbounded_send("ended")?;
        drop(self.pieces);
        let echoed = self.echoed.collect().await?.to_bytes();
        self.connection.closed(DEADLINE).await?;
        Ok(echoed)
    }
}
