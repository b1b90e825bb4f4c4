//! HAProxy with shared connections to the host, over HTTP/1.1 and HTTP/2.

use super::clients::{around, busy, pausing};
use super::proxy::Proxy;
use super::{PROXY_IDLE, Pair, assert_all_counted, assert_forwarded, counter};
use anyhow::Result;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use visits_tests::{App, Host, artifacts};

const HTTP1: &str = "";
const HTTP2: &str = "proto h2";
/// Retries a request if its connection failed.
const DEFAULT_RETRIES: &str = "retries 3\n    option redispatch 1";
/// Also retries it if the host closed the connection without a response. The host has not counted the visit then.
const RETRIES: &str =
    "retries 3\n    option redispatch 1\n    retry-on conn-failure empty-response";

async fn haproxy(hosts: &[SocketAddr], protocol: &str, retries: &str) -> Result<Proxy> {
    let idle = PROXY_IDLE.as_millis();
    let servers: String = hosts
        .iter()
        .enumerate()
        .map(|(number, host)| {
            format!("\n    server host{number} {host} pool-purge-delay {idle}ms {protocol}")
        })
        .collect();
    Proxy::start(artifacts::haproxy()?, &["-db", "-f"], |address, _| {
        format!(
            "global
    maxconn 4000
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    {retries}
frontend visitors
    bind {address}
    default_backend hosts
backend hosts
    http-reuse always
    option forwardfor
    http-request set-header X-Forwarded-Proto http
    http-request set-header X-Forwarded-Host %[req.hdr(host)]
    http-request set-header Forwarded for=192.0.2.60;proto=https{servers}
"
        )
    })
    .await
}

async fn assert_pauses_lose_no_visit(protocol: &str) -> Result<()> {
    let (app, host) = counter()?;
    let host = host.start().await?;
    let proxy = haproxy(&[host.address()], protocol, DEFAULT_RETRIES).await?;
    let tally = pausing(proxy.address(), 100, 12, around(PROXY_IDLE)).await;
    assert_all_counted(&app, tally, 3600)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs haproxy"]
async fn visits_with_pauses_at_the_limit_of_haproxy_are_all_answered() -> Result<()> {
    assert_pauses_lose_no_visit(HTTP1).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs haproxy"]
async fn visits_with_pauses_behind_haproxy_with_http2_are_all_answered() -> Result<()> {
    assert_pauses_lose_no_visit(HTTP2).await
}

async fn assert_restarts_lose_no_visit(protocol: &str) -> Result<()> {
    let mut pair = Pair::start().await?;
    let proxy = haproxy(&pair.addresses(), protocol, RETRIES).await?;
    let done = AtomicBool::new(false);
    let restarts = async {
        let restarted = pair.restart(2).await;
        done.store(true, Relaxed);
        restarted
    };
    let (tally, restarted) = tokio::join!(busy(proxy.address(), 20, &done), restarts);
    restarted?;
    // Few visits, because HAProxy waits for a second before it tries another host.
    assert_all_counted(&pair.app, tally, 20)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs haproxy"]
async fn hosts_that_restart_in_turn_behind_haproxy_lose_no_visit() -> Result<()> {
    assert_restarts_lose_no_visit(HTTP1).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs haproxy"]
async fn hosts_that_restart_in_turn_behind_haproxy_with_http2_lose_no_visit() -> Result<()> {
    assert_restarts_lose_no_visit(HTTP2).await
}

#[tokio::test]
#[ignore = "needs haproxy"]
async fn forwarded_headers_of_haproxy_reach_the_component_unchanged() -> Result<()> {
    let app = App::new(&artifacts::probe_wasm()?)?;
    let host = Host::of(&app).start().await?;
    for protocol in [HTTP1, HTTP2] {
        let proxy = haproxy(&[host.address()], protocol, DEFAULT_RETRIES).await?;
        assert_forwarded(proxy.address(), "for=192.0.2.60;proto=https").await?;
    }
    Ok(())
}
