//! Real reverse proxies that keep connections to the host: nginx and HAProxy.
//!
//! The limits are those of production divided by about 120: 500 ms instead of the 60 s after which nginx closes an idle
//! connection, and 5 s instead of the host's 620 s.
//!
//! - `proxy`: the process of a proxy
//! - `clients`: visitors that pause between visits, and their results
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
/// The host's limit for these connections. It is longer, so that the proxy closes them first.
const HOST_IDLE: &str = "--idle-timeout=5s";

fn counter() -> Result<(App, HostBuilder)> {
    let app = App::new(&artifacts::visits_wasm()?)?;
    let host = Host::of(&app).arg(HOST_IDLE);
    Ok((app, host))
}

/// Asserts that every visit was acknowledged, and that exactly these were counted.
fn assert_all_counted(app: &App, tally: Tally, min: u64) -> Result<()> {
    ensure!(
        tally.errors.is_empty(),
        "{} errors, the first: {:?}",
        tally.errors.len(),
        tally.errors.first()
    );
    let last = tally.numbers.len() as u64;
    ensure!(last >= min, "only {last} visits");
    assert_exactly(tally.numbers, 1, last);
    assert_eq!(visits_bin(&app.volume())?, last);
    Ok(())
}

/// Asserts that a component behind this proxy sees the headers that the proxy sets, `Forwarded` with this value.
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

/// Two hosts with the same volume.
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

    /// Drains the hosts in turn, and restarts each at its address, like a rollout.
    async fn restart(&mut self, times: usize) -> Result<()> {
        for number in 0..2 * times {
            let host = &mut self.hosts[number % 2];
            let address = host.address();
            host.signal(Signal::TERM)?;
            let exit = host.wait_exit(DEADLINE).await?;
            ensure!(exit.code == Some(0), host.failed("the exit code is not 0"));
            *host = Host::of(&self.app)
                .arg(HOST_IDLE)
                .listen(address)
                .start()
                .await
                .with_context(|| format!("cannot restart on {address}"))?;
        }
        Ok(())
    }
}
