//! Each request and its response.

use crate::counter;
use anyhow::{Context, Result};
use http::Request;
use visits_tests::client::{empty, full};
use visits_tests::load::visits_bin;
use visits_tests::{Connection, Host, Raw, Reply, get};

async fn accepting(connection: &mut Connection, path: &str, accept: &str) -> Result<Reply> {
    let request = Request::get(path).header("accept", accept);
    connection.call(request.body(empty())?).await
}

#[tokio::test]
async fn a_visit_is_shown_in_the_form_that_the_client_accepts() -> Result<()> {
    let app = counter()?;
    let host = Host::of(&app)
        .arg("--env=POD_NAME=visits-0")
        .start()
        .await?;
    let mut client = Connection::open(host.address()).await?;
    let reply = client.get("/").await?;
    assert_eq!(
        (reply.text(), reply.header("content-type")),
        ("1\n", "text/plain; charset=utf-8")
    );
    let reply = accepting(&mut client, "/", "application/json").await?;
    assert_eq!(reply.text(), r#"{"visits":2,"pod":"visits-0"}"#);
    let reply = accepting(&mut client, "/", "text/html,*/*;q=0.8").await?;
    assert_eq!(reply.header("content-type"), "text/html; charset=utf-8");
    assert!(reply.text().contains(r#"value="3""#) && reply.text().contains("visits-0"));
    assert_eq!(reply.header("cache-control"), "no-store");
    assert_eq!(
        reply.header("vary"),
        "accept, sec-purpose, purpose, x-moz, x-purpose"
    );
    Ok(())
}

#[tokio::test]
async fn only_get_of_the_root_counts() -> Result<()> {
    let app = counter()?;
    let host = Host::of(&app).start().await?;
    let mut client = Connection::open(host.address()).await?;
    for (method, path, status) in [
        ("HEAD", "/", 200),
        ("GET", "/visits", 200),
        ("GET", "/visits.bin", 200),
        ("GET", "/metrics", 200),
        ("GET", "/healthz", 200),
        ("GET", "/livez", 200),
        ("HEAD", "/livez", 200),
        ("GET", "/favicon.ico", 200),
        ("GET", "/favicon.svg", 200),
        ("GET", "/nothing", 404),
        ("GET", "/visits/", 404),
        ("GET", "//", 404),
        ("POST", "/nothing", 404),
        ("POST", "/", 405),
        ("PUT", "/visits", 405),
        ("DELETE", "/", 405),
        ("PATCH", "/healthz", 405),
        ("OPTIONS", "/", 405),
        ("BREW", "/", 405),
    ] {
        let request = Request::builder().method(method).uri(path);
        let reply = client.call(request.body(empty())?).await?;
        assert_eq!(reply.status, status, "{method} {path}: {}", reply.text());
        if status == 405 {
            assert_eq!(reply.header("allow"), "GET, HEAD", "{method} {path}");
        }
    }
    assert_eq!(
        std::fs::read_dir(app.volume())?.count(),
        0,
        "counting has started"
    );
    assert_eq!(client.get("/visits").await?.text(), "0\n");
    assert_eq!(client.get("/visits.bin").await?.body, [0; 8][..]);
    assert_eq!(client.get("/").await?.text(), "1\n");
    Ok(())
}

#[tokio::test]
async fn the_current_number_is_shown_as_text_json_bytes_and_metric() -> Result<()> {
    let app = counter()?;
    let host = Host::of(&app)
        .arg("--env=POD_NAME=visits-3")
        .start()
        .await?;
    let mut client = Connection::open(host.address()).await?;
    for _ in 0..300 {
        client.get("/").await?;
    }
    assert_eq!(client.get("/visits").await?.text(), "300\n");
    let json = accepting(&mut client, "/visits", "application/json").await?;
    assert_eq!(json.text(), r#"{"visits":300,"pod":"visits-3"}"#);
    assert_eq!(
        client.get("/visits.bin").await?.body,
        300u64.to_le_bytes()[..]
    );
    let metrics = client.get("/metrics").await?;
    assert!(metrics.header("content-type").starts_with("text/plain"));
    for line in [
        "visits_total 300",
        "visits_batch_size_sum 300",
        "visits_failed_total 0",
    ] {
        assert!(
            metrics.text().lines().any(|l| l == line),
            "no {line:?} in\n{}",
            metrics.text()
        );
    }
    Ok(())
}

#[tokio::test]
async fn odd_requests_for_the_root_count_once_each() -> Result<()> {
    let app = counter()?;
    let host = Host::of(&app).start().await?;
    let mut expected = 0;
    // Byte by byte, because a client would refuse or rewrite some of these.
    let mut raw = Raw::open(host.address()).await?;
    for target in [
        "/?",
        "/?a=b&a=b",
        "/?%00%ff%zz",
        "/?q=\u{20ac}",
        "/?a#b",
        "http://visits/",
    ] {
        raw.write(format!("GET {target} HTTP/1.1\r\nhost: visits\r\n\r\n"))
            .await?;
        expected += 1;
        let response = raw.read_until(&format!("\r\n\r\n{expected}\n")).await;
        let response = response.with_context(|| format!("target {target:?}"))?;
        assert!(response.starts_with("HTTP/1.1 200 "), "{response:?}");
    }
    let mut client = Connection::open(host.address()).await?;
    for (name, value) in [
        ("accept", &b"\xff\xfe"[..]),
        ("accept", b";;;,,,"),
        ("x-odd", b"\xe2\x82\xac"),
        ("cookie", &[b'x'; 8000]),
        ("content-type", b"nonsense"),
    ] {
        let request = Request::get("/").header(name, value).body(empty())?;
        expected += 1;
        let reply = client.call(request).await?;
        assert_eq!(reply.text(), format!("{expected}\n"), "{name}");
    }
    assert_eq!(visits_bin(&app.volume())?, expected);
    Ok(())
}

#[tokio::test]
async fn a_body_is_never_waited_for_and_a_small_one_keeps_the_connection() -> Result<()> {
    let app = counter()?;
    let host = Host::of(&app).start().await?;
    let mut client = Connection::open(host.address()).await?;
    for number in 1..=3 {
        let request = Request::get("/").body(full(vec![b'x'; 1000]))?;
        assert_eq!(client.call(request).await?.text(), format!("{number}\n"));
    }
    assert!(!client.is_closed());
    let mut raw = Raw::open(host.address()).await?;
    raw.write("GET / HTTP/1.1\r\nhost: visits\r\ncontent-length: 100000000\r\n\r\n")
        .await?;
    raw.read_until("\r\n\r\n4\n").await?;
    assert_eq!(visits_bin(&app.volume())?, 4);
    Ok(())
}

#[tokio::test]
async fn without_a_variable_the_pod_has_the_machines_name() -> Result<()> {
    let app = counter()?;
    let host = Host::of(&app).start().await?;
    let mut client = Connection::open(host.address()).await?;
    let reply = accepting(&mut client, "/visits", "application/json").await?;
    let json: serde_json::Value = serde_json::from_slice(&reply.body)?;
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname")?;
    assert_eq!(json["pod"], machine.trim_end());
    assert_eq!(get(host.address(), "/livez").await?.text(), "alive\n");
    Ok(())
}
