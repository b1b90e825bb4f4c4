//! What a component or a client does wrong costs only itself: traps, time, memory, connections, slow senders.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::Request;
use http_body_util::{BodyExt, StreamBody};
use std::time::{Duration, Instant};
use visits_tests::client::{empty, stream as streamed};
use visits_tests::{App, Connection, DEADLINE, Host, HostBuilder, Raw, artifacts, get};

const MEGABYTE: usize = 1 << 20;

fn probe() -> Result<(App, HostBuilder)> {
    let app = App::new(&artifacts::probe_wasm()?)?;
    let host = Host::of(&app);
    Ok((app, host))
}

async fn assert_serves(host: &Host) -> Result<()> {
    let reply = get(host.address(), "/hello").await?;
    ensure!(
        reply.status == 200 && reply.text() == "hello\n",
        host.failed(&format!("no hello but {reply:?}"))
    );
    Ok(())
}

#[tokio::test]
async fn a_trap_fails_the_requests_of_its_instance_and_a_successor_serves() -> Result<()> {
    let (_app, host) = probe()?;
    let host = host.start().await?;
    let mut beside = Connection::open(host.address()).await?;
    // Held by the instance when it traps; its head is out, so that it is certain to be held.
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
        .context("a dead body must end")?;
    ensure!(
        rest.is_err(),
        "a body that was torn by the trap must not look whole"
    );
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
        "not one line of calls: {log}"
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
        host.failed("half a response looks whole")
    );
    assert_serves(&host).await
}

#[tokio::test]
async fn what_computes_or_waits_for_ever_is_stopped_by_the_time_limit() -> Result<()> {
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
            "{path}: stopped too early"
        );
        assert_serves(&host).await?;
    }
    host.wait_log("a new instance takes over").await?;
    Ok(())
}

#[tokio::test]
async fn what_computes_for_ever_after_its_answer_keeps_nobody_waiting_for_ever() -> Result<()> {
    let (_app, host) = probe()?;
    let host = host.arg("--request-timeout=300ms").start().await?;
    ensure!(get(host.address(), "/loop-later").await?.text() == "later\n");
    host_answers_within(&host, Duration::from_secs(10)).await
}

/// Waits until the host answers again; requests that a dying instance takes with it may fail.
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
async fn memory_beyond_the_limit_traps_and_the_log_says_so() -> Result<()> {
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
async fn an_address_space_of_one_gibibyte_is_enough_and_too_little_names_the_remedy() -> Result<()>
{
    let (_app, host) = probe()?;
    let host = host.shell("ulimit -v 1048576").start().await?;
    ensure!(get(host.address(), "/take?mebibytes=100").await?.text() == "100\n");
    assert_serves(&host).await?;
    let (_app, host) = probe()?;
    let host = host
        .shell("ulimit -v 1048576")
        .arg("--memory-limit=4GiB")
        .spawn()?;
    let exit = host.wait_exit(DEADLINE).await?;
    let named = host
        .stderr()
        .lines()
        .iter()
        .any(|line| line.contains("raise `ulimit -v`"));
    ensure!(exit.code == Some(1) && named, host.failed("no remedy"));
    Ok(())
}

#[tokio::test]
async fn a_file_call_of_a_dead_instance_ends_before_its_successor_starts() -> Result<()> {
    let (app, host) = probe()?;
    let host = host.arg("--request-timeout=300ms").start().await?;
    // Opening a pipe for writing blocks until somebody reads: a file call that hangs.
    let pipe = app.volume().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status()?;
    ensure!(made.success(), "mkfifo");
    ensure!(get(host.address(), "/write?name=pipe").await?.status == 504);
    let reply = get(host.address(), "/hello").await?;
    ensure!(
        reply.status == 503,
        host.failed(&format!("a successor started too early: {reply:?}"))
    );
    // Nobody waits for the file call any more, but it is still there and gets its reader.
    let reader = std::thread::spawn(move || std::fs::read(pipe));
    host_answers_within(&host, DEADLINE).await?;
    drop(reader);
    Ok(())
}

#[tokio::test]
async fn a_client_that_sends_no_whole_head_is_dropped() -> Result<()> {
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
    connection.read_until("431").await?;
    let mut many = Raw::open(host.address()).await?;
    let _ = many
        .write(format!(
            "GET /hello HTTP/1.1\r\nhost: a\r\n{}\r\n",
            "x: y\r\n".repeat(150)
        ))
        .await;
    many.read_until("431").await?;
    assert_serves(&host).await
}

#[tokio::test]
async fn a_client_that_stops_in_the_middle_of_a_body_is_cut_and_costs_only_itself() -> Result<()> {
    let (_app, host) = probe()?;
    // The body's limit is the longer one: the time spent waiting for the client is not the component's.
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
        host.failed(&format!("the component got its body: {reply:?}"))
    );
    assert_serves(&host).await?;
    let died = host
        .stderr()
        .lines()
        .iter()
        .any(|line| line.contains("a new instance takes over"));
    ensure!(
        !died,
        host.failed("a slow client must not stop the instance")
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
    // Answered before the body is there, so that none of it can be in the host's buffer.
    small.read_until("ignored").await?;
    small.write(vec![0; 20_000]).await?;
    small
        .write("GET /hello HTTP/1.1\r\nhost: a\r\n\r\n")
        .await?;
    small
        .read_until("hello")
        .await
        .context("the connection is kept")?;
    let mut large = Raw::open(host.address()).await?;
    large
        .write("POST /ignore HTTP/1.1\r\nhost: a\r\ncontent-length: 100000000\r\n\r\nsome")
        .await?;
    let reply = large.read_to_end(Duration::from_secs(10)).await?;
    ensure!(
        reply.contains("ignored"),
        host.failed(&format!("no answer: {reply:?}"))
    );
    Ok(())
}

#[tokio::test]
async fn a_hundred_megabytes_stream_through_both_ways_in_little_memory() -> Result<()> {
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
    ensure!(length == 100 * MEGABYTE, "{length} bytes came back");
    let reply = connection
        .call(Request::post("/swallow").body(megabytes(100))?)
        .await?;
    ensure!(reply.text() == format!("{}\n", 100 * MEGABYTE), "{reply:?}");
    let grown = peak_memory(&host)?.saturating_sub(before);
    ensure!(
        grown < 48 * MEGABYTE,
        host.failed(&format!("its memory grew by {grown} bytes"))
    );
    Ok(())
}

#[tokio::test]
async fn odd_requests_are_answered_and_do_no_harm() -> Result<()> {
    let (_app, host) = probe()?;
    let host = host.start().await?;
    let odd = [
        ("CONNECT example.com:80 HTTP/1.1\r\nhost: a\r\n\r\n", "404"),
        ("OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n", "404"),
        (
            "GET http://other/hello HTTP/1.1\r\nhost: a\r\n\r\n",
            "hello",
        ),
        ("GET /hello HTTP/1.0\r\n\r\n", "hello"),
        ("GET /hello HTTP/1.1\r\nhost: \x01\r\n\r\n", "400"),
        (
            "GET /hello HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n",
            "400 Bad Request",
        ),
        (
            "POST /swallow HTTP/1.1\r\nhost: a\r\ncontent-length: 9223372036854775808\r\n\r\n",
            "413",
        ),
        ("BREW /hello HTTP/1.1\r\nhost: a\r\n\r\n", "hello"),
        (
            "GET /hello HTTP/1.1\r\nhost: not a host\r\n\r\n",
            "400 Bad Request",
        ),
        ("GET /hello HTTP/1.1\r\n\r\n", "400 Bad Request"),
        ("nonsense\r\n\r\n", "400"),
    ];
    for (request, expected) in odd {
        let mut connection = Raw::open(host.address()).await?;
        connection.write(request).await?;
        connection
            .read_until(expected)
            .await
            .with_context(|| format!("{request:?}"))?;
    }
    assert_serves(&host).await
}

/// A body of so many pieces of a megabyte.
fn megabytes(count: usize) -> visits_tests::client::RequestBody {
    let piece = Bytes::from(vec![7; MEGABYTE]);
    let pieces = std::iter::repeat_n(piece, count);
    streamed(StreamBody::new(
        stream::iter(pieces).map(|piece| anyhow::Ok(hyper::body::Frame::data(piece))),
    ))
}

/// A body of one piece, after which nothing comes.
fn never_ending() -> visits_tests::client::RequestBody {
    let piece = stream::iter([anyhow::Ok(hyper::body::Frame::data(Bytes::from_static(
        b"piece",
    )))]);
    streamed(StreamBody::new(piece.chain(stream::pending())))
}

fn peak_memory(host: &Host) -> Result<usize> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.pid()))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .context("no VmHWM")?;
    let kilobytes: usize = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes * 1024)
}
