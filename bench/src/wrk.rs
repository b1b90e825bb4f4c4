//! Runs `wrk`.

use anyhow::{Context, Result, bail, ensure};
use std::process::Command;
use std::time::Duration;
use visits_tests::Host;

/// Fails with a remedy if `wrk` is missing.
pub(crate) fn require() -> Result<()> {
    if Command::new("wrk").arg("--version").output().is_err() {
        bail!("wrk is missing: install it (on Debian: apt-get install wrk)");
    }
    Ok(())
}

/// Loads `GET /` of the host with this number of connections, and returns the responses per second.
///
/// # Errors
/// If any response was an error, because errors can raise the rate.
pub(crate) async fn load(host: &Host, connections: usize, length: Duration) -> Result<f64> {
    let output = Command::new("wrk")
        .args(["--threads", "1", "--connections", &connections.to_string()])
        .arg(format!("--duration={}s", length.as_secs()))
        .arg(format!("{}/", host.url()))
        .output()
        .context("cannot run wrk")?;
    let report = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success() && !report.contains("Non-2xx") && !report.contains("Socket errors"),
        host.failed(&format!("wrk reports errors:\n{report}"))
    );
    let rate = report
        .lines()
        .find_map(|line| line.strip_prefix("Requests/sec:"))
        .with_context(|| format!("wrk reports no rate:\n{report}"))?;
    Ok(rate.trim().parse()?)
}
