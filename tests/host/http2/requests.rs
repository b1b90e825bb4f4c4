//! Requests: concurrent ones on one connection, bodies and trailers both ways, and heads that must be refused.

use super::{counter, probe};
use crate::common::{MEGABYTE, megabytes};
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures::future::try_join_all;
use futures::stream;
use http::{HeaderMap, HeaderValue, Request};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use visits_tests::client::{empty, full, stream as streamed};
use visits_tests::load::{assert_exactly, visits_bin};
use visits_tests::{Connection, Http2, Raw};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_concurrent_visits_on_one_connection_count_once_each() -> Result<()> {
    let (app, host) = counter(&[]).await?;
    let connection = Http2::open(host.address()).await?;
    let mut numbers = Vec::new();
    for _ in 0..5 {
        let visits = (0..100).map(|_| connection.visit());
        numbers.extend(try_join_all(visits).await?);
    }
    assert_exactly(numbers, 1, 500);
    ensure!(visits_bin(&app.volume())? == 500);
    // Both versions are served on one port.
    let mut other = Connection::open(host.address()).await?;
    ensure!(other.get("/visits").await?.text() == "500\n");
    ensure!(connection.get("/visits").await?.text() == "500\n");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_stream_both_ways_concurrently() -> Result<()> {
    let (_app, host) = probe(&[]).await?;
    let connection = Http2::open(host.address()).await?;
    let echo = async {
        let reply = connection
            .call(Request::post("/echo").body(megabytes(30))?)
            .await?;
        ensure!(
            reply.body.len() == 30 * MEGABYTE,
            "{} bytes",
            reply.body.len()
        );
        ensure!(
            reply.body.iter().all(|byte| *byte == 7),
            "the echo has other bytes"
        );
        Ok(())
    };
    let swallow = async {
        let request = Request::post("/swallow").body(megabytes(30))?;
        let reply = connection.call(request).await?;
        ensure!(reply.text() == format!("{}\n", 30 * MEGABYTE), "{reply:?}");
        Ok(())
    };
    let bytes = async {
        let path = format!("/bytes?n={}", 30 * MEGABYTE);
        let length = connection.get(&path).await?.body.len();
        ensure!(length == 30 * MEGABYTE, "{length} bytes");
        Ok(())
    };
    futures::future::try_join3(echo, swallow, bytes).await?;
    // An upload that the component does not read costs only itself.
    let ignored = connection
        .call(Request::post("/ignore").body(full(vec![0; MEGABYTE]))?)
        .await?;
    ensure!(ignored.text() == "ignored\n", "{ignored:?}");
    ensure!(connection.get("/hello").await?.text() == "hello\n");
    Ok(())
}

#[tokio::test]
async fn trailers_reach_the_component_and_the_client() -> Result<()> {
    let (_app, host) = probe(&[]).await?;
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", HeaderValue::from_static("abc"));
    let frames = [
        Frame::data(Bytes::from_static(b"body")),
        Frame::trailers(trailers),
    ];
    let body = streamed(StreamBody::new(stream::iter(frames.map(anyhow::Ok))));
    let request = Request::post("/trailers")
        .header("te", "trailers")
        .body(body)?;
    let connection = Http2::open(host.address()).await?;
    let response = connection.send(request).await?.into_body();
    let collected = response.collect().await?;
    let received = collected.trailers().context("no trailers")?;
    ensure!(received["x-checksum"] == "abc", "{received:?}");
    ensure!(received["grpc-status"] == "0", "{received:?}");
    ensure!(collected.to_bytes() == "4\n");
    Ok(())
}

#[tokio::test]
async fn trailers_pass_in_http1() -> Result<()> {
    let (_app, host) = probe(&[]).await?;
    let mut connection = Raw::open(host.address()).await?;
    connection
        .write(
            "POST /trailers HTTP/1.1\r\nhost: a\r\nte: trailers\r\ntransfer-encoding: chunked\r\n\
             trailer: x-checksum\r\n\r\n4\r\nbody\r\n0\r\nx-checksum: abc\r\n\r\n",
        )
        .await?;
    let response = connection.read_until("grpc-status: 0\r\n").await?;
    ensure!(response.starts_with("HTTP/1.1 200"), "{response}");
    ensure!(response.contains("\r\n\r\n2\r\n4\n\r\n0\r\n"), "{response}");
    ensure!(response.contains("x-checksum: abc\r\n"), "{response}");
    Ok(())
}

#[tokio::test]
async fn a_host_header_that_differs_from_the_authority_is_refused_and_not_counted() -> Result<()> {
    let (app, host) = counter(&[]).await?;
    let connection = Http2::open(host.address()).await?;
    let request = Request::get("/").header("host", "other.example");
    let reply = connection.call(request.body(empty())?).await?;
    ensure!(reply.status == 400, "{reply:?}");
    ensure!(connection.visit().await? == 1);
    ensure!(visits_bin(&app.volume())? == 1);
    Ok(())
}

#[tokio::test]
async fn a_head_with_too_many_headers_is_refused_and_costs_only_itself() -> Result<()> {
    let (_app, host) = probe(&[]).await?;
    let connection = Http2::open(host.address()).await?;
    // The client accepts this head, because it is smaller than the server's 32 KiB. It has too many headers.
    let mut request = Request::get("/hello");
    for number in 0..101 {
        request = request.header(format!("x-{number}"), "y");
    }
    let reply = connection.call(request.body(empty())?).await?;
    ensure!(reply.status == 431, "{reply:?}");
    ensure!(connection.get("/hello").await?.text() == "hello\n");
    Ok(())
}
