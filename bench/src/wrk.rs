//! One load, by `wrk`.

use anyhow::{Context, Result, bail, ensure};
use std::process::Command;
use std::time::Duration;
use visits_tests::Host;

/// Says how to get `wrk` where it is missing.
pub(crate) fn require() -> Result<()> {
    if Command::new("wrk").arg("--version").output().is_err() {
        bail!("wrk is missing: install it, on Debian with: apt-get install wrk");
    }
    Ok(())
}

/// Loads `GET /` of the host with so many connections, and returns the answers a second.
///
/// # Errors
/// If any answer was an error, for then a higher rate would be a worse result.
pub(crate) async fn load(host: &Host, connections: usize, length: Duration) -> Result<f64> {
    let output = Command::new("wrk")
        .args(["--threads", "1", "--connections", &connections.to_string()])
        .arg(format!("--duration={}s", length.as_secs()))
        .arg(format!("{}/", host.url()))
        .output()
        .context("run wrk")?;
    let report = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success() && !report.contains("Non-2xx") && !report.contains("Socket errors"),
        host.failed(&format!("wrk met errors:\n{report}"))
    );
    let rate = report
        .lines()
        .find_map(|line| line.strip_prefix("Requests/sec:"))
        .with_context(|| format!("wrk told no rate:\n{report}"))?;
    Ok(rate.trim().parse()?)
}
