//! Requests that two servers may read differently. If a proxy in front passed one on, a second request hidden in it must not
//! be answered here as if it were the next one on the connection.

use crate::common::counter;
use anyhow::{Result, ensure};
use std::time::Duration;
use visits_tests::load::visits_bin;
use visits_tests::{Host, Raw, get};

/// A request that would count.
const HIDDEN: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
/// The next request on the connection, which ends it.
const NEXT: &str = "GET /livez HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

/// A malformed or ambiguous request up to the hidden one, and the statuses of the responses. 405 answers the outer `POST`,
/// and 200 after it would answer [`NEXT`].
type Attempt = (&'static str, &'static str, &'static [u16]);

/// Attempts in which the hidden request is a part of the body, or is never read.
pub(crate) const ATTEMPTS: &[Attempt] = &[
    (
        "a length that covers the hidden request, and chunks that do not",
        "POST /livez HTTP/1.1\r\nhost: a\r\ncontent-length: 38\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        &[405],
    ),
    (
        "the same in the other order",
        "POST /livez HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-length: 38\r\n\r\n0\r\n\r\n",
        &[405],
    ),
    (
        "two lengths",
        "POST /livez HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\ncontent-length: 33\r\n\r\n",
        &[400],
    ),
    (
        "two lengths in one field",
        "POST /livez HTTP/1.1\r\nhost: a\r\ncontent-length: 0, 33\r\n\r\n",
        &[400],
    ),
    (
        "a length with a sign",
        "POST /livez HTTP/1.1\r\nhost: a\r\ncontent-length: +0\r\n\r\n",
        &[400],
    ),
    (
        "a length in hexadecimal digits",
        "POST /livez HTTP/1.1\r\nhost: a\r\ncontent-length: 0x0\r\n\r\n",
        &[400],
    ),
    (
        "an empty length",
        "POST /livez HTTP/1.1\r\nhost: a\r\ncontent-length:\r\n\r\n",
        &[400],
    ),
    (
        "a space before a colon",
        "POST /livez HTTP/1.1\r\nhost: a\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n",
        &[400],
    ),
    (
        "a folded field",
        "POST /livez HTTP/1.1\r\nhost: a\r\ntransfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
        &[400],
    ),
    (
        "a folded length",
        "POST /livez HTTP/1.1\r\nhost: a\r\nx: y\r\n content-length: 33\r\n\r\n",
        &[400],
    ),
    (
        "an encoding that is not chunked",
        "POST /livez HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked\r\n\r\n",
        &[400],
    ),
    (
        "an encoding after chunked",
        "POST /livez HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, identity\r\n\r\n",
        &[400],
    ),
    (
        "two encodings in two fields",
        "POST /livez HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n",
        &[400],
    ),
    (
        "chunks of HTTP/1.0",
        "POST /livez HTTP/1.0\r\nconnection: keep-alive\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        &[400],
    ),
    (
        "a name of a field with a NUL",
        "POST /livez HTTP/1.1\r\nhost: a\r\nx\0: y\r\n\r\n",
        &[400],
    ),
    (
        "a value with a bare CR",
        "POST /livez HTTP/1.1\r\nhost: a\r\nx: y\rcontent-length: 33\r\n\r\n",
        &[400],
    ),
    (
        "a chunk's size with a prefix",
        "POST /livez HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0x0\r\n\r\n",
        &[405],
    ),
    (
        "a chunk's size with a sign",
        "POST /livez HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n-0\r\n\r\n",
        &[405],
    ),
    (
        "a chunk's size above 64 bits",
        "POST /livez HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n10000000000000000\r\n\r\n",
        &[405],
    ),
    (
        "a chunk that is longer than its size",
        "POST /livez HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
        &[405],
    ),
    (
        "a line feed in a chunk's extension",
        "POST /livez HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0;a\nb\r\n\r\n",
        &[405],
    ),
    (
        "a length in the trailers",
        "POST /livez HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\ncontent-length: 33\r\n",
        &[405],
    ),
];

/// Returns the statuses of all responses on a connection.
fn statuses(answer: &str) -> Vec<u16> {
    let lines = answer.split("HTTP/1.").skip(1);
    lines.filter_map(|it| it.get(2..5)?.parse().ok()).collect()
}

/// Sends bytes, and returns the answer up to the end of the connection.
pub(crate) async fn sent(host: &Host, bytes: &str) -> Result<String> {
    let mut connection = Raw::open(host.address()).await?;
    // The host may have closed it before it has read everything.
    let _ = connection.write(bytes).await;
    connection.read_to_end(Duration::from_secs(5)).await
}

#[tokio::test]
async fn a_request_that_is_hidden_in_another_one_is_never_answered() -> Result<()> {
    let (app, host) = counter(&[]).await?;
    let mut wrong = Vec::new();
    ensure!(get(host.address(), "/").await?.text() == "1\n");
    for (name, request, expected) in ATTEMPTS {
        let answer = sent(&host, &[request, HIDDEN, NEXT].concat()).await?;
        let (found, count) = (statuses(&answer), visits_bin(&app.volume())?);
        if found != *expected || count != 1 {
            wrong.push(format!(
                "{name}: {found:?} instead of {expected:?}, count {count}"
            ));
        }
    }
    ensure!(wrong.is_empty(), host.failed(&wrong.join("\n")));
    Ok(())
}

#[tokio::test]
async fn a_length_given_twice_and_a_chunks_extension_leave_the_next_request_readable() -> Result<()>
{
    let (app, host) = counter(&[]).await?;
    for request in [
        "POST /livez HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 3\r\n\r\nabc",
        "POST /livez HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3;name=\"a;b\"\r\nabc\r\n0\r\nt: u\r\n\r\n",
        "\r\nPOST /livez HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc",
    ] {
        let answer = sent(&host, &[request, NEXT].concat()).await?;
        ensure!(statuses(&answer) == [405, 200], "{request:?}: {answer:?}");
    }
    ensure!(!app.volume().join("visits.bin").exists());
    Ok(())
}

#[tokio::test]
async fn pipelined_visits_are_answered_in_order_and_count_once_each() -> Result<()> {
    const VISITS: usize = 100;
    let (app, host) = counter(&[]).await?;
    let answer = sent(&host, &[HIDDEN.repeat(VISITS).as_str(), NEXT].concat()).await?;
    ensure!(statuses(&answer) == [200; VISITS + 1], "{answer}");
    let bodies = answer.split("\r\n\r\n").skip(1);
    let numbers = bodies.filter_map(|it| it.lines().next()?.parse::<usize>().ok());
    ensure!(numbers.eq(1..=VISITS), "{answer}");
    ensure!(visits_bin(&app.volume())? == VISITS as u64);
    Ok(())
}
