//! Loads a server with `oha`. At a fixed rate it does what visitors do who do not wait for each other. Latencies then count from
//! the moment at which a request was due, so a server that falls behind shows it.

use crate::sample::Load;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;
use visits_support::command::Bounded;
use visits_support::environment;

/// How long oha may take longer than asked for.
const SLACK: Duration = Duration::from_secs(20);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    summary: Summary,
    latency_percentiles: BTreeMap<String, Option<f64>>,
    status_code_distribution: BTreeMap<String, u64>,
    error_distribution: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct Summary {
    total: f64,
}

/// Loads `GET /` with this number of requests per second for this time, or with as many as the server answers.
pub(crate) fn load(
    address: SocketAddr,
    connections: usize,
    rate: Option<f64>,
    length: Duration,
) -> Result<Load> {
    let mut command = Command::new(environment::OHA.path()?);
    command
        .args(["--no-tui", "--output-format", "json"])
        .args(["-c", &connections.to_string()])
        .args(["-z", &format!("{}s", length.as_secs())]);
    if let Some(rate) = rate {
        command.args(["--latency-correction", "-q", &format!("{rate:.0}")]);
    }
    command.arg(format!("http://{address}/"));
    let output = Bounded::new(command).within(length + SLACK).run()?;
    parse(&output)
}

fn parse(output: &[u8]) -> Result<Load> {
    let report: Report = serde_json::from_slice(output).with_context(|| {
        let output = String::from_utf8_lossy(output);
        format!("oha reported something unexpected: {output}")
    })?;
    let statuses = &report.status_code_distribution;
    let successes = statuses.iter().filter(|(code, _)| code.starts_with('2'));
    let answered = successes.map(|(_, count)| count).sum();
    let failed: u64 = report
        .error_distribution
        .iter()
        // Requests in flight when the time is over.
        .filter(|(error, _)| !error.contains("deadline"))
        .map(|(_, count)| count)
        .sum();
    let percentile = |name: &str| {
        let seconds = report.latency_percentiles.get(name).copied().flatten();
        seconds.map(|seconds| seconds * 1e3)
    };
    Ok(Load {
        length: Duration::from_secs_f64(report.summary.total),
        answered,
        errors: statuses.values().sum::<u64>() - answered + failed,
        p50: percentile("p50"),
        p99: percentile("p99"),
        p999: percentile("p99.9"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"{
        "summary": {"successRate": 0.99, "total": 2.5, "requestsPerSec": 400.0},
        "latencyPercentiles": {"p50": 0.001, "p99": 0.0125, "p99.9": 0.02, "p99.99": null},
        "statusCodeDistribution": {"200": 990, "503": 6},
        "errorDistribution": {"aborted due to deadline": 4, "connection refused": 3}
    }"#;

    #[test]
    fn other_statuses_and_failed_connections_are_errors_and_cut_requests_are_not() {
        let load = parse(REPORT.as_bytes()).expect("a report");
        assert_eq!((load.answered, load.errors), (990, 9));
        assert_eq!(
            (load.p50, load.p99, load.p999),
            (Some(1.0), Some(12.5), Some(20.0))
        );
        assert_eq!(load.length, Duration::from_millis(2500));
    }

    #[test]
    fn a_report_without_statuses_is_an_error() {
        parse(b"{\"summary\": {\"total\": 1.0}}").expect_err("no statuses");
    }
}
