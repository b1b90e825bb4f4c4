//! Limits: a trap, an endless loop, too much memory, or a slow client costs only the component or the client itself.

use crate::common::{MEGABYTE, has_logged, has_replaced_an_instance, megabytes, peak_memory, text};
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::Request;
use http_body_util::{BodyExt, StreamBody};
use std::time::{Duration, Instant};
use visits_tests::client::{empty, stream as streamed};
use visits_tests::{App, Connection, DEADLINE, Host, HostBuilder, Raw, artifacts, get, make_fifo};

fn probe() -> Result<(App, HostBuilder)> {
    let app = App::new(&artifacts::probe_wasm()?)?;
    let host = Host::of(&app);
    Ok((app, host))
}

async fn assert_serves(host: &Host) -> Result<()> {
    let reply = get(host.address(), "/hello").await?;
    ensure!(
        reply.status == 200 && reply.text() == "hello\n",
        host.failed(&format!("{reply:?}"))
    );
    Ok(())
}

#[tokio::test]
async fn a_trap_fails_the_requests_of_its_instance_and_a_successor_serves() -> Result<()> {
    let (_app, host) = probe()?;
    let host = host.start().await?;
    let mut beside = Connection::open(host.address()).await?;
    // The instance holds this request when it traps, because the response's head has been sent.
    let mut body = beside
        .send(Request::post("/echo").body(never_ending())?)
        .await?
        .into_body();
    body.frame().await.context("the first piece comes back")??;

    let reply = get(host.address(), "/trap").await?;
    ensure!(
        reply.status == 500 && reply.text() == "the component failed; see the log\n",
        "{reply:?}"
    );
    let rest = tokio::time::timeout(DEADLINE, body.collect())
        .await
        .context("the body does not end")?;
    ensure!(rest.is_err(), "the torn body looks complete");
    assert_serves(&host).await?;
    let log = host.wait_log("a new instance takes over").await?;
    ensure!(
        log["fields"]["error"]
            .as_str()
            .is_some_and(|error| error.contains("unreachable")),
        "{log}"
    );
    let place = log["fields"]["place"].as_str();
    ensure!(
        place.is_some_and(|place| place.starts_with("0x") && !place.contains('\n')),
        "the calls are not one line: {log}"
    );
    Ok(())
}

#[tokio::test]
async fn a_response_torn_by_a_trap_does_not_look_whole() -> Result<()> {
    let (_app, host) = probe()?;
    let host = host.start().await?;
    let mut connection = Connection::open(host.address()).await?;
    let response = connection
        .send(Request::get("/trap-late").body(empty())?)
        .await?;
    ensure!(response.status() == 200);
    ensure!(
        response.into_body().collect().await.is_err(),
        host.failed("half a response looks complete")
    );
    assert_serves(&host).await
}

#[tokio::test]
async fn a_component_that_computes_or_waits_forever_is_stopped_at_the_time_limit() -> Result<()> {
    let (_app, host) = probe()?;
    let host = host.arg("--request-timeout=300ms").start().await?;
    for path in ["/loop", "/hang"] {
        let started = Instant::now();
        let reply = get(host.address(), path).await?;
        ensure!(
            reply.status == 504,
            host.failed(&format!("{path}: {reply:?}"))
        );
        ensure!(
            started.elapsed() >= Duration::from_millis(300),
            "{path}: stopped before the limit"
        );
        assert_serves(&host).await?;
    }
    host.wait_log("a new instance takes over").await?;
    Ok(())
}

#[tokio::test]
async fn a_component_that_computes_forever_after_its_response_is_replaced() -> Result<()> {
    let (_app, host) = probe()?;
    let host = host.arg("--request-timeout=300ms").start().await?;
    ensure!(text(&host, "/loop-later").await? == "later\n");
    host_answers_within(&host, Duration::from_secs(10)).await
}

/// Waits until the host answers again. Requests may fail with a dying instance in the meantime.
async fn host_answers_within(host: &Host, limit: Duration) -> Result<()> {
    let answers = async {
        while !get(host.address(), "/hello")
            .await
            .is_ok_and(|reply| reply.status == 200)
        {}
    };
    tokio::time::timeout(limit, answers)
        .await
        .map_err(|_| host.failed("the host does not answer again"))
}

#[tokio::test]
async fn memory_beyond_the_limit_traps_and_is_logged() -> Result<()> {
    let (_app, host) = probe()?;
    let host = host.arg("--memory-limit=16MiB").start().await?;
    ensure!(get(host.address(), "/allocate").await?.status == 500);
    assert_serves(&host).await?;
    let log = host.wait_log("a new instance takes over").await?;
    ensure!(
        log["fields"]["error"]
            .as_str()
            .is_some_and(|error| error.contains("--memory-limit")),
        "{log}"
    );
    Ok(())
}

#[tokio::test]
async fn a_gibibyte_of_address_space_is_enough_and_too_little_is_refused_with_a_remedy()
-> Result<()> {
    let (_app, host) = probe()?;
    let host = host.shell("ulimit -v 1048576").start().await?;
    ensure!(text(&host, "/take?mebibytes=100").await? == "100\n");
    assert_serves(&host).await?;
    let (_app, host) = probe()?;
    let host = host
        .shell("ulimit -v 1048576")
        .arg("--memory-limit=4GiB")
        .spawn()?;
    let exit = host.wait_exit(DEADLINE).await?;
    let has_remedy = has_logged(&host, "raise `ulimit -v`");
    ensure!(exit.code == Some(1) && has_remedy, host.failed("no remedy"));
    Ok(())
}

#[tokio::test]
async fn a_file_call_of_a_dead_instance_ends_before_its_successor_starts() -> Result<()> {
    let (app, host) = probe()?;
    let host = host.arg("--request-timeout=300ms").start().await?;
    let pipe = app.volume().join("pipe");
    make_fifo(&pipe)?;
    ensure!(get(host.address(), "/write?name=pipe").await?.status == 504);
    let reply = get(host.address(), "/hello").await?;
    ensure!(
        reply.status == 503,
        host.failed(&format!("a successor started too early: {reply:?}"))
    );
    // The file call is still blocked, although its instance is gone. A reader ends it.
    let reader = std::thread::spawn(move || std::fs::read(pipe));
    host_answers_within(&host, DEADLINE).await?;
    drop(reader);
    Ok(())
}

#[tokio::test]
async fn silent_slow_and_idle_clients_are_dropped() -> Result<()> {
    let (_app, host) = probe()?;
    let host = host
        .args(["--header-timeout=300ms", "--idle-timeout=300ms"])
        .start()
        .await?;
    let mut silent = Raw::open(host.address()).await?;
    let mut slow = Raw::open(host.address()).await?;
    slow.write("GET /hello HTTP/1.1\r\nhost: a\r\nx: ").await?;
    let mut idle = Raw::open(host.address()).await?;
    idle.write("GET /hello HTTP/1.1\r\nhost: a\r\n\r\n").await?;
    idle.read_until("hello").await?;
    for (name, connection) in [
        ("silent", &mut silent),
        ("slow", &mut slow),
        ("idle", &mut idle),
    ] {
        connection
            .read_to_end(Duration::from_secs(10))
            .await
            .with_context(|| format!("the {name} connection"))?;
    }
    assert_serves(&host).await
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() -> Result<()> {
    let (_app, host) = probe()?;
    let host = host.arg("--max-header-size=4KiB").start().await?;
    let mut connection = Raw::open(host.address()).await?;
    let _ = connection
        .write(format!(
            "GET /hello HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
            "y".repeat(6000)
        ))
        .await;
    connection.read_until("HTTP/1.1 431 ").await?;
    let mut many = Raw::open(host.address()).await?;
    let _ = many
        .write(format!(
            "GET /hello HTTP/1.1\r\nhost: a\r\n{}\r\n",
            "x: y\r\n".repeat(150)
        ))
        .await;
    many.read_until("HTTP/1.1 431 ").await?;
    assert_serves(&host).await
}

#[tokio::test]
async fn a_client_that_stops_in_the_middle_of_a_body_is_cut_and_costs_only_itself() -> Result<()> {
    let (_app, host) = probe()?;
    // The body's limit is the longer one, because time spent waiting for the client does not count as the component's.
    let host = host
        .args(["--body-timeout=900ms", "--request-timeout=300ms"])
        .start()
        .await?;
    let mut slow = Raw::open(host.address()).await?;
    slow.write("POST /swallow HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf")
        .await?;
    let reply = slow.read_to_end(Duration::from_secs(10)).await?;
    ensure!(
        reply.starts_with("HTTP/1.1 500"),
        host.failed(&format!("the component received a whole body: {reply:?}"))
    );
    assert_serves(&host).await?;
    ensure!(
        !has_replaced_an_instance(&host),
        host.failed("a slow client stopped the instance")
    );
    Ok(())
}

#[tokio::test]
async fn unread_bodies_are_drained_when_small_and_close_the_connection_when_large() -> Result<()> {
    let (_app, host) = probe()?;
    let host = host.start().await?;
    let mut small = Raw::open(host.address()).await?;
    small
        .write("POST /ignore HTTP/1.1\r\nhost: a\r\ncontent-length: 20000\r\n\r\n")
        .await?;
    // The response arrives before the body is sent, so the host's buffer contains none of it.
    small.read_until("ignored").await?;
    small.write(vec![0; 20_000]).await?;
    small
        .write("GET /hello HTTP/1.1\r\nhost: a\r\n\r\n")
        .await?;
    small
        .read_until("hello")
        .await
        .context("the connection was closed")?;
    let mut large = Raw::open(host.address()).await?;
    large
        .write("POST /ignore HTTP/1.1\r\nhost: a\r\ncontent-length: 100000000\r\n\r\nsome")
        .await?;
    let reply = large.read_to_end(Duration::from_secs(10)).await?;
    ensure!(
        reply.contains("ignored"),
        host.failed(&format!("no response: {reply:?}"))
    );
    Ok(())
}

#[tokio::test]
async fn a_hundred_megabytes_stream_both_ways_in_little_memory() -> Result<()> {
    let (_app, host) = probe()?;
    let host = host.arg("--memory-limit=32MiB").start().await?;
    assert_serves(&host).await?;
    let before = peak_memory(&host)?;
    let mut connection = Connection::open(host.address()).await?;
    let request = Request::post("/echo").body(megabytes(100))?;
    let mut echoed = connection.send(request).await?.into_body();
    let mut length = 0;
    while let Some(frame) = echoed.frame().await {
        length += frame?.data_ref().map_or(0, Bytes::len);
    }
    ensure!(length == 100 * MEGABYTE, "{length} bytes");
    let reply = connection
        .call(Request::post("/swallow").body(megabytes(100))?)
        .await?;
    ensure!(reply.text() == format!("{}\n", 100 * MEGABYTE), "{reply:?}");
    let grown = peak_memory(&host)?.saturating_sub(before);
    ensure!(
        grown < 48 * MEGABYTE,
        host.failed(&format!("the host's memory grew by {grown} bytes"))
    );
    Ok(())
}

#[tokio::test]
async fn odd_requests_are_answered_with_the_right_status() -> Result<()> {
    let (_app, host) = probe()?;
    let host = host.start().await?;
    let odd = [
        (
            "CONNECT example.com:80 HTTP/1.1\r\nhost: a\r\n\r\n",
            "1.1 404",
        ),
        ("OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n", "1.1 404"),
        (
            "GET http://other/hello HTTP/1.1\r\nhost: a\r\n\r\n",
            "1.1 200",
        ),
        ("GET /hello HTTP/1.0\r\n\r\n", "1.0 200"),
        ("GET /hello HTTP/1.1\r\nhost: \x01\r\n\r\n", "1.1 400"),
        (
            "GET /hello HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n",
            "1.1 400",
        ),
        (
            "POST /swallow HTTP/1.1\r\nhost: a\r\ncontent-length: 9223372036854775808\r\n\r\n",
            "1.1 413",
        ),
        ("BREW /hello HTTP/1.1\r\nhost: a\r\n\r\n", "1.1 200"),
        ("GET /hello HTTP/1.1\r\nhost: not a host\r\n\r\n", "1.1 400"),
        ("GET /hello HTTP/1.1\r\n\r\n", "1.1 400"),
        ("nonsense\r\n\r\n", "1.1 400"),
    ];
    for (request, status) in odd {
        let mut connection = Raw::open(host.address()).await?;
        connection.write(request).await?;
        let reply = connection.read_until("\r\n\r\n").await?;
        ensure!(
            reply.starts_with(&format!("HTTP/{status} ")),
            "{request:?}: {reply:?}"
        );
        if status.ends_with("200") {
            ensure!(
                reply.ends_with("hello\n") || connection.read_until("hello\n").await.is_ok(),
                "{request:?}: {reply:?}"
            );
        }
    }
    assert_serves(&host).await
}

/// Returns a body that never ends after its first piece.
fn never_ending() -> visits_tests::client::RequestBody {
    let piece = stream::iter([anyhow::Ok(hyper::body::Frame::data(Bytes::from_static(
        b"piece",
    )))]);
    streamed(StreamBody::new(piece.chain(stream::pending())))
}
