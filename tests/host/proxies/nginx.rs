//! nginx with `keepalive` in its `upstream`.

use super::clients::{around, busy, pausing};
use super::proxy::Proxy;
use super::{PROXY_IDLE, Pair, assert_all_counted, assert_forwarded, counter};
use anyhow::Result;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use visits_tests::{App, DEADLINE, Host, artifacts};

/// Starts nginx with `retry` as the value of `proxy_next_upstream`.
async fn nginx(hosts: &[SocketAddr], idle: Duration, retry: &str) -> Result<Proxy> {
    // Each host is listed twice. nginx tries an entry once, on a kept connection if it has one. While hosts restart,
    // that connection may just have been closed.
    let servers: String = hosts
        .iter()
        .chain(hosts)
        .map(|host| format!("server {host} max_fails=0; "))
        .collect();
    let idle = idle.as_millis();
    Proxy::start(artifacts::nginx()?, &["-c"], |address, directory| {
        let directory = directory.display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {directory}/{name}; "))
            .concat();
        format!(
            "daemon off; master_process off; pid {directory}/pid; error_log stderr warn;
            events {{ worker_connections 4096; }}
            http {{
                access_log off; keepalive_requests 1000000; {temporary}
                upstream host {{ {servers} keepalive 512; keepalive_timeout {idle}ms; keepalive_requests 1000000; }}
                server {{
                    listen {address};
                    location / {{
                        proxy_pass http://host;
                        proxy_http_version 1.1;
                        proxy_set_header Connection \"\";
                        proxy_set_header Host $http_host;
                        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
                        proxy_set_header X-Forwarded-Proto $scheme;
                        proxy_set_header X-Forwarded-Host $http_host;
                        proxy_set_header Forwarded \"for=192.0.2.60;proto=https;by=203.0.113.43\";
                        proxy_next_upstream {retry};
                    }}
                }}
            }}"
        )
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nginx"]
async fn visits_with_pauses_at_the_limit_of_nginx_are_all_answered_without_retries() -> Result<()> {
    let (app, host) = counter()?;
    let host = host.start().await?;
    let proxy = nginx(&[host.address()], PROXY_IDLE, "off").await?;
    let tally = pausing(proxy.address(), 100, 12, around(PROXY_IDLE)).await;
    assert_all_counted(&app, tally, 3600)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nginx"]
async fn two_hundred_clients_with_pauses_at_the_limit_of_nginx_lose_no_visit() -> Result<()> {
    let (app, host) = counter()?;
    let host = host.start().await?;
    let proxy = nginx(&[host.address()], PROXY_IDLE, "off").await?;
    let within_5_ms =
        |client: u64, _| PROXY_IDLE - Duration::from_millis(5) + Duration::from_micros(client * 50);
    let tally = pausing(proxy.address(), 200, 3, within_5_ms).await;
    assert_all_counted(&app, tally, 1800)
}

/// Proves that the tests above can detect a lost request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nginx"]
async fn a_host_that_closes_idle_connections_before_nginx_causes_errors() -> Result<()> {
    let app = App::new(&artifacts::visits_wasm()?)?;
    let idle = PROXY_IDLE.as_millis();
    let host = Host::of(&app).arg(format!("--idle-timeout={idle}ms"));
    let host = host.start().await?;
    let proxy = nginx(&[host.address()], 10 * PROXY_IDLE, "off").await?;
    let started = Instant::now();
    while started.elapsed() < 2 * DEADLINE {
        let within_5_ms = |client: u64, _| {
            PROXY_IDLE - Duration::from_millis(5) + Duration::from_micros(client * 50)
        };
        let tally = pausing(proxy.address(), 200, 2, within_5_ms).await;
        if tally.errors.iter().any(|error| error.contains("502")) {
            return Ok(());
        }
    }
    anyhow::bail!("no request was lost")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nginx"]
async fn hosts_that_restart_in_turn_behind_nginx_lose_no_visit() -> Result<()> {
    let mut pair = Pair::start().await?;
    // The default. nginx sends a request to the other host if it could not send it.
    let proxy = nginx(&pair.addresses(), PROXY_IDLE, "error timeout").await?;
    let done = AtomicBool::new(false);
    let restarts = async {
        let restarted = pair.restart(2).await;
        done.store(true, Relaxed);
        restarted
    };
    let paused = pausing(proxy.address(), 50, 10, around(PROXY_IDLE));
    let (busy, paused, restarted) =
        tokio::join!(busy(proxy.address(), 10, &done), paused, restarts);
    restarted?;
    let mut tally = busy;
    tally.numbers.extend(paused.numbers);
    tally.errors.extend(paused.errors);
    assert_all_counted(&pair.app, tally, 1500)
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn forwarded_headers_of_nginx_reach_the_component_unchanged() -> Result<()> {
    let app = App::new(&artifacts::probe_wasm()?)?;
    let host = Host::of(&app).start().await?;
    let proxy = nginx(&[host.address()], PROXY_IDLE, "off").await?;
    let forwarded = "for=192.0.2.60;proto=https;by=203.0.113.43";
    assert_forwarded(proxy.address(), forwarded).await
}
