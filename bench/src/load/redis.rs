//! Loads Redis with its own benchmark, which runs a fixed number of commands.

use crate::sample::Load;
use anyhow::{Context, Result};
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;
use visits_support::command::Bounded;

/// The key that is counted up.
pub(crate) const KEY: &str = "visits";

/// The commands of a first, short run, which finds the rate.
const PILOT: u64 = 500;

/// How much longer the benchmark may take.
const SLACK: Duration = Duration::from_secs(30);

/// Loads `INCR` with this number of connections for about this time.
pub(crate) fn load(address: SocketAddr, connections: usize, length: Duration) -> Result<Load> {
    let pilot = run(address, connections, PILOT, length)?;
    let rate = PILOT as f64 / pilot.length.as_secs_f64();
    let commands = (rate * length.as_secs_f64()).max(1.0) as u64;
    let load = run(address, connections, commands, length)?;
    Ok(Load {
        length: pilot.length + load.length,
        answered: pilot.answered + load.answered,
        ..load
    })
}

fn run(address: SocketAddr, connections: usize, commands: u64, length: Duration) -> Result<Load> {
    let mut command = Command::new("redis-benchmark");
    command
        .args(["-h", &address.ip().to_string()])
        .args(["-p", &address.port().to_string()])
        .args(["-c", &connections.to_string()])
        .args(["-n", &commands.to_string()])
        .args(["--csv", "INCR", KEY]);
    let output = Bounded::new(command).within(length * 2 + SLACK).run()?;
    parse(&String::from_utf8_lossy(&output), commands)
}

/// Reads a table of comma-separated values with a line of names and one line of values.
fn parse(output: &str, commands: u64) -> Result<Load> {
    let mut rows = output
        .lines()
        .map(|line| line.split(',').map(|cell| cell.trim_matches('"')));
    let names = rows
        .next()
        .with_context(|| "redis-benchmark reported nothing")?;
    let values = rows
        .next()
        .with_context(|| format!("redis-benchmark reported {output}"))?;
    let cells: Vec<_> = names.zip(values).collect();
    let value = |wanted: &str| {
        let (_, value) = cells.iter().find(|(name, _)| *name == wanted)?;
        value.parse::<f64>().ok()
    };
    let rate = value("rps").with_context(|| format!("redis-benchmark reported {output}"))?;
    Ok(Load {
        length: Duration::from_secs_f64(commands as f64 / rate),
        answered: commands,
        p50: value("p50_latency_ms"),
        p99: value("p99_latency_ms"),
        ..Load::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_by_name() {
        let load = parse(
            "\"test\",\"rps\",\"avg_latency_ms\",\"min_latency_ms\",\"p50_latency_ms\",\"p95_latency_ms\",\"p99_latency_ms\",\"max_latency_ms\"\n\
             \"INCR visits\",\"2000.00\",\"3.1\",\"0.5\",\"2.9\",\"5.5\",\"7.25\",\"9.1\"\n",
            1000,
        );
        let load = load.expect("a report");
        assert_eq!(load.length, Duration::from_millis(500));
        assert_eq!(
            (load.p50, load.p99, load.p999),
            (Some(2.9), Some(7.25), None)
        );
    }

    #[test]
    fn a_report_without_values_is_an_error() {
        parse("\"test\",\"rps\"\n", 1).expect_err("no values");
        parse("Could not connect\nto Redis\n", 1).expect_err("no rate");
    }
}
