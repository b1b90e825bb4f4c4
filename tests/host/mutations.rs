//! Mutated bytes on the socket. Whatever a client sends, the host answers or closes the connection, and other visitors are
//! served meanwhile.

use crate::common::{counter, has_logged, has_replaced_an_instance};
use crate::http2::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, NONE, PING, PREFACE, PRIORITY,
    RST_STREAM, SETTINGS, WINDOW_UPDATE, frame, head, request, setting, stream,
};
use anyhow::{Context, Result, ensure};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use visits_support::mutation::Mutator;
use visits_tests::load::{p99, visit, visits_bin};
use visits_tests::{Connection, DEADLINE, Host, Raw, environment};

/// The number of inputs of a protocol, if the environment has no other.
const INPUTS: u64 = 10_000;
/// The clients that send them.
const CLIENTS: usize = 16;
/// How long 99 of 100 visits may take meanwhile.
const VISIT: Duration = Duration::from_secs(1);

/// Parts of requests with a meaning for the host.
const WORDS: &[&str] = &[
    "\r\n",
    "\r\n\r\n",
    "\n",
    "\r",
    "\0",
    " ",
    ":",
    "content-length: 5\r\n",
    "transfer-encoding: chunked\r\n",
    "0\r\n\r\n",
    "ffffffffffffffff",
    "HTTP/1.1",
    "HTTP/1.0",
    "connection: close\r\n",
    "expect: 100-continue\r\n",
    "upgrade: h2c\r\n",
    "host: b\r\n",
    "?",
    "%00",
    "//",
    "é",
    "\u{7f}",
];

/// Requests of HTTP/1, alone and in sequence, with bodies of both kinds.
fn http1() -> Vec<Vec<u8>> {
    let requests = [
        "GET / HTTP/1.1\r\nhost: a\r\naccept: text/html\r\n\r\n",
        "GET /visits HTTP/1.1\r\nhost: a\r\n\r\nGET /livez HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhelloGET /healthz HTTP/1.1\r\nhost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nt: u\r\n\r\n",
        "HEAD http://a/ HTTP/1.0\r\ncookie: a=b\r\ncookie: c\r\n\r\n",
    ];
    requests.map(|it| it.as_bytes().to_vec()).into()
}

/// Connections of HTTP/2: requests with and without bodies, headers in pieces, and frames about the connection.
fn http2() -> Vec<Vec<u8>> {
    let first = [PREFACE, &setting(4, 1 << 20)].concat();
    let path = "/visits";
    let block = head(END_STREAM, path);
    let (start, rest) = block.split_at(3);
    let connections = [
        vec![
            request(END_STREAM, stream(0), "/"),
            request(END_STREAM, stream(1), path),
        ],
        vec![
            request(NONE, stream(0), "/"),
            frame(DATA, END_STREAM, stream(0), b"hello"),
        ],
        vec![
            frame(HEADERS, END_STREAM, stream(0), start),
            frame(CONTINUATION, END_HEADERS, stream(0), rest),
        ],
        vec![
            frame(PING, NONE, 0, b"12345678"),
            frame(WINDOW_UPDATE, NONE, 0, &1000_u32.to_be_bytes()),
            frame(SETTINGS, 1, 0, b""),
            request(END_STREAM, stream(0), "/livez"),
            frame(PRIORITY, NONE, stream(2), &[0, 0, 0, 1, 9]),
            frame(RST_STREAM, NONE, stream(0), &8_u32.to_be_bytes()),
        ],
    ];
    connections
        .map(|frames| [first.clone(), frames.concat()].concat())
        .into()
}

/// Sends bytes and reads until the host closes the connection.
async fn exchange(host: &Host, input: &[u8]) -> Result<()> {
    let mut connection = Raw::open(host.address()).await?;
    // The host may have closed it before it has read everything.
    if connection.write(input).await.is_ok() {
        let _ = connection.finish().await;
    }
    let answer = connection.read_to_end(DEADLINE).await?;
    let is_http2 = answer.as_bytes().get(3) == Some(&SETTINGS);
    ensure!(
        answer.is_empty() || answer.starts_with("HTTP/1.") || is_http2,
        "an answer in no version of HTTP: {answer:?}"
    );
    Ok(())
}

/// Visits until the inputs are sent. Returns how long each visit took.
async fn visit_until(host: &Host, done: &AtomicBool) -> Result<Vec<Duration>> {
    let (mut times, mut last) = (Vec::new(), 0);
    while !done.load(Relaxed) {
        let started = Instant::now();
        let number = visit(&mut Connection::open(host.address()).await?).await?;
        times.push(started.elapsed());
        ensure!(number > last, "{number} after {last}");
        last = number;
    }
    Ok(times)
}

async fn assert_survived(name: &str, seeds: Vec<Vec<u8>>) -> Result<()> {
    let inputs = match environment::MUTATIONS.get() {
        Some(_) => environment::MUTATIONS.text()?.parse()?,
        None => INPUTS,
    };
    let limits = ["--header-timeout=1s", "--body-timeout=1s"];
    let (app, host) = counter(&limits).await?;
    let (next, done, started) = (AtomicU64::new(0), AtomicBool::new(false), Instant::now());
    let client = || async {
        loop {
            let number = next.fetch_add(1, Relaxed);
            if number >= inputs {
                return anyhow::Ok(());
            }
            let input = Mutator::new(number, WORDS).input(&seeds);
            let sent = exchange(&host, &input).await;
            sent.with_context(|| format!("input {number}: {}", input.escape_ascii()))?;
        }
    };
    let clients = async {
        let sent = futures::future::try_join_all((0..CLIENTS).map(|_| client())).await;
        done.store(true, Relaxed);
        sent
    };
    let (sent, times) = futures::future::join(clients, visit_until(&host, &done)).await;
    sent.map_err(|error| host.failed(&format!("{error:#}")))?;
    let (visits, took, seconds) = (times?, VISIT, started.elapsed().as_secs_f64());
    let (count, p99) = (visits.len() as u64, p99(visits));
    println!(
        "{name}: {inputs} inputs in {seconds:.1} s, {:.0} a second; {count} visits meanwhile, 99 of 100 within {p99:?}",
        inputs as f64 / seconds
    );
    ensure!(
        p99 < took,
        host.failed(&format!("99 of 100 visits within {p99:?}"))
    );
    // Inputs may be visits, too.
    ensure!(visits_bin(&app.volume())? >= count);
    ensure!(
        !has_replaced_an_instance(&host),
        host.failed("an instance was replaced")
    );
    ensure!(
        !has_logged(&host, "panicked"),
        host.failed("the host panicked")
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mutated_bytes_of_http1_cost_only_their_connection() -> Result<()> {
    assert_survived("HTTP/1", http1()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mutated_bytes_of_http2_cost_only_their_connection() -> Result<()> {
    assert_survived("HTTP/2", http2()).await
}
