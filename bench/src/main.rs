//! `cargo xtask bench`: measures visits per second, durable and exact, and compares them with a hello-world component
//! on the same host. Also prints the time that the disk takes to sync.
//!
//! Machines drift, so the two components are loaded in turn, and each round has its own ratio. A row shows the median
//! ratio and all of them. The load comes from `wrk`, which uses little of the machine.
//!
//! - [`disk`]: the disk's sync time
//! - [`wrk`]: a load

mod disk;
mod wrk;

use anyhow::{Result, ensure};
use clap::Parser;
use std::time::Duration;
use visits_tests::{App, Host, artifacts, get};

/// Measure visits per second and compare them with a hello-world component.
#[derive(Parser)]
struct Options {
    /// Number of loads of each component, for each number of connections
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Duration of each load, in seconds
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Numbers of connections
    #[arg(long, value_delimiter = ',', default_values_t = [32, 128])]
    connections: Vec<usize>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let options = Options::parse();
    wrk::require()?;
    let hello = App::new(&artifacts::hello_wasm()?)?;
    let visits = App::new(&artifacts::visits_wasm()?)?;
    println!(
        "the disk syncs a rename in {:.3} ms (median of {}), in {}",
        milliseconds(disk::sync_time(visits.directory())?),
        disk::SYNCS,
        visits.directory().display()
    );
    let hello_host = Host::of(&hello).start().await?;
    let visits_host = Host::of(&visits).start().await?;
    let length = Duration::from_secs(options.seconds);
    for host in [&hello_host, &visits_host] {
        wrk::load(host, 32, Duration::from_secs(1)).await?;
    }
    println!("connections   hello/s  visits/s  visits:hello (median; all rounds)");
    for connections in options.connections {
        let (mut hellos, mut counts, mut ratios) = (vec![], vec![], vec![]);
        for _ in 0..options.rounds {
            let hello = wrk::load(&hello_host, connections, length).await?;
            let count = wrk::load(&visits_host, connections, length).await?;
            hellos.push(hello);
            counts.push(count);
            ratios.push(count / hello);
        }
        let rounds: Vec<_> = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect();
        println!(
            "{connections:11} {:9.0} {:9.0}  {:.2} ({})",
            median(&mut hellos),
            median(&mut counts),
            median(&mut ratios),
            rounds.join(" ")
        );
    }
    report(&visits_host).await
}

/// Prints the counter's own metrics of the run. Fails if any visit failed.
async fn report(host: &Host) -> Result<()> {
    let metrics = get(host.address(), "/metrics").await?;
    let value = |name: &str| -> f64 {
        let line = metrics.text().lines().find_map(|l| l.strip_prefix(name));
        line.and_then(|value| value.trim().parse().ok())
            .unwrap_or(f64::NAN)
    };
    let (visits, commits) = (value("visits_total "), value("visits_commits_total "));
    ensure!(
        value("visits_failed_total ") == 0.0,
        host.failed("visits failed")
    );
    println!(
        "{visits} visits in {commits} commits, {:.1} visits per commit, {:.3} ms per sync under load",
        visits / commits,
        value("visits_sync_seconds_sum ") / value("visits_sync_seconds_count ") * 1000.0
    );
    Ok(())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
