//! Loads a server with `wrk`, which needs little CPU: as many requests as the server answers.

use crate::sample::Load;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;
use visits_support::command::Bounded;

/// The script that makes wrk report as JSON.
const SCRIPT: &str = include_str!("report.lua");

/// How long wrk may take longer than asked for.
const SLACK: Duration = Duration::from_secs(20);

/// What the script prints.
#[derive(Deserialize)]
struct Report {
    duration_us: f64,
    responses: u64,
    status_errors: u64,
    socket_errors: u64,
    p50_us: f64,
    p99_us: f64,
    p999_us: f64,
}

/// Loads `GET /` with this number of connections for this time. `wrk` is the command that starts wrk.
pub(crate) fn load(
    mut wrk: Command,
    address: SocketAddr,
    connections: usize,
    length: Duration,
) -> Result<Load> {
    wrk.args(["--threads", "1", "--connections", &connections.to_string()])
        .arg(format!("--duration={}s", length.as_secs()))
        // By stdin, because a cluster's node has other files than this machine.
        .args(["--script", "/dev/stdin"])
        .arg(format!("http://{address}/"));
    let load = Bounded::new(wrk).within(length + SLACK).input(SCRIPT);
    parse(&String::from_utf8_lossy(&load.run()?))
}

fn parse(output: &str) -> Result<Load> {
    let line = output.lines().rfind(|line| line.starts_with('{'));
    let line = line.with_context(|| format!("wrk reported no figures: {output}"))?;
    let report: Report =
        serde_json::from_str(line).with_context(|| format!("wrk reported {line}"))?;
    Ok(Load {
        length: Duration::from_secs_f64(report.duration_us / 1e6),
        // wrk counts responses with an error status too.
        answered: report.responses.saturating_sub(report.status_errors),
        errors: report.status_errors + report.socket_errors,
        p50: Some(report.p50_us / 1e3),
        p99: Some(report.p99_us / 1e3),
        p999: Some(report.p999_us / 1e3),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_with_an_error_status_are_errors() {
        let load = parse(
            "Running 2s test @ http://127.0.0.1:5000/\n  1 threads and 32 connections\n\
             {\"duration_us\":2000000,\"responses\":1000,\"status_errors\":10,\"socket_errors\":2,\
             \"p50_us\":1500,\"p99_us\":4000,\"p999_us\":9000}\n",
        );
        let load = load.expect("a report");
        assert_eq!((load.answered, load.errors), (990, 12));
        assert_eq!(load.length, Duration::from_secs(2));
        assert_eq!(
            (load.p50, load.p99, load.p999),
            (Some(1.5), Some(4.0), Some(9.0))
        );
    }

    #[test]
    fn an_output_without_figures_is_an_error() {
        parse("unable to connect to 127.0.0.1:5000 Connection refused\n").expect_err("no figures");
        parse("{\"duration_us\":1}\n").expect_err("too few figures");
    }
}
