//! h2spec, the conformance tests for HTTP/2 servers. docs/proxies.md lists the exceptions with their reasons.

use super::probe;
use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;
use std::process::Command;
use visits_tests::artifacts;

/// The tests that fail, as `PACKAGE: DESCRIPTION`.
const EXCEPTIONS: [&str; 1] = ["http2/3.5: Sends invalid connection preface"];
/// Minimum number of tests. A version of h2spec with fewer would prove less.
const MIN_TESTS: usize = 146;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs h2spec, which Go builds"]
async fn h2spec_passes_except_for_the_listed_tests() -> Result<()> {
    let (_app, host) = probe(&[]).await?;
    let report = tempfile::NamedTempFile::new()?;
    let mut h2spec = Command::new(artifacts::h2spec()?);
    h2spec
        .args(["--host", &host.address().ip().to_string()])
        .args(["--port", &host.address().port().to_string()])
        // It waits for the end of the request's body. Otherwise the response may come before what a test sends second.
        .args(["--path", "/swallow", "--strict"])
        .args(["--timeout", "5", "--junit-report"])
        .arg(report.path());
    // The exit code only repeats that a test failed.
    let output = tokio::task::spawn_blocking(move || h2spec.output())
        .await?
        .context("cannot run h2spec")?;
    let results = results(&std::fs::read_to_string(report.path())?);
    let output = String::from_utf8_lossy(&output.stdout);
    ensure!(
        results.len() >= MIN_TESTS,
        "only {} tests: {output}",
        results.len()
    );
    let failed: BTreeSet<&str> = results
        .iter()
        .filter(|(_, passed)| !passed)
        .map(|(name, _)| name.as_str())
        .collect();
    ensure!(
        failed == BTreeSet::from(EXCEPTIONS),
        host.failed(&format!("failed: {failed:?}\n{output}"))
    );
    Ok(())
}

/// Returns the tests of a JUnit report as `PACKAGE: DESCRIPTION`, and whether each has passed.
fn results(report: &str) -> Vec<(String, bool)> {
    let case = |case: &str| {
        let attribute = |name: &str| {
            let (_, rest) = case.split_once(&format!(" {name}=\""))?;
            Some(rest.split_once('"')?.0.to_owned())
        };
        let name = format!("{}: {}", attribute("package")?, attribute("classname")?);
        let body = case.split_once("</testcase>").map_or("", |(body, _)| body);
        let passed = !body.contains("<failure") && !body.contains("<error");
        Some((name, passed))
    };
    report.split("<testcase").skip(1).filter_map(case).collect()
}
