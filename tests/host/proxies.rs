//! Behind real reverse proxies that keep their connections to the host: nginx and HAProxy.
//!
//! Their limits and the host's are those of production, divided by 120: 500 ms for the 60 s after which nginx closes an
//! idle connection, and 5 s for the host's 620 s.
//!
//! - `proxy`: a proxy's process
//! - `clients`: visitors that pause, and what they were told
//! - `nginx`, `haproxy`: the tests

mod clients;
mod haproxy;
mod nginx;
mod proxy;

use anyhow::{Context, Result, ensure};
use clients::Tally;
use std::net::SocketAddr;
use std::time::Duration;
use visits_tests::load::{assert_exactly, visits_bin};
use visits_tests::{App, DEADLINE, Host, HostBuilder, Signal, artifacts, get};

/// How long the proxies keep an idle connection to the host.
const PROXY_IDLE: Duration = Duration::from_millis(500);
/// The host's own limit for those.
const HOST_IDLE: &str = "--idle-timeout=5s";

fn counter() -> Result<(App, HostBuilder)> {
    let app = App::new(&artifacts::visits_wasm()?)?;
    let host = Host::of(&app).arg(HOST_IDLE);
    Ok((app, host))
}

/// Asserts that every visit was acknowledged, and that no other was counted.
fn assert_all_counted(app: &App, tally: Tally, least: u64) -> Result<()> {
    ensure!(
        tally.errors.is_empty(),
        "{} errors, the first: {:?}",
        tally.errors.len(),
        tally.errors.first()
    );
    let last = tally.numbers.len() as u64;
    ensure!(last >= least, "only {last} visits");
    assert_exactly(tally.numbers, 1, last);
    assert_eq!(visits_bin(&app.volume())?, last);
    Ok(())
}

/// Asserts that a component behind this proxy sees the headers that the proxy sets, with this value of `Forwarded`.
async fn assert_forwarded(proxy: SocketAddr, forwarded: &str) -> Result<()> {
    let headers = get(proxy, "/hello?headers").await?;
    for line in [
        "x-forwarded-for: 127.0.0.1\n",
        "x-forwarded-proto: http\n",
        &format!("x-forwarded-host: {proxy}\n"),
        &format!("forwarded: {forwarded}\n"),
    ] {
        ensure!(headers.text().contains(line), "{line:?}: {headers:?}");
    }
    Ok(())
}

/// Two hosts on one volume.
struct Pair {
    app: App,
    hosts: [Host; 2],
}

impl Pair {
    async fn start() -> Result<Self> {
        let (app, host) = counter()?;
        let hosts = [host.clone().start().await?, host.start().await?];
        Ok(Self { app, hosts })
    }

    fn addresses(&self) -> [SocketAddr; 2] {
        [self.hosts[0].address(), self.hosts[1].address()]
    }

    /// Drains one host after the other and starts it again at its address, as a rollout does.
    async fn restart(&mut self, times: usize) -> Result<()> {
        for number in 0..2 * times {
            let host = &mut self.hosts[number % 2];
            let address = host.address();
            host.signal(Signal::TERM)?;
            let exit = host.wait_exit(DEADLINE).await?;
            ensure!(exit.code == Some(0), host.failed("it must exit with 0"));
            *host = Host::of(&self.app)
                .arg(HOST_IDLE)
                .listen(address)
                .start()
                .await
                .with_context(|| format!("start again on {address}"))?;
        }
        Ok(())
    }
}
