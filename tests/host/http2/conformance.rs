//! h2spec, the conformance tests for servers of HTTP/2. What does not pass is listed with its reason in docs/proxies.md.

use super::probe;
use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;
use std::process::Command;
use visits_tests::artifacts;

/// The tests that do not pass, as `PACKAGE: DESCRIPTION`.
const EXCEPTIONS: [&str; 1] = ["http2/3.5: Sends invalid connection preface"];
/// How many there are, at least. A version with fewer would prove less.
const MIN_TESTS: usize = 146;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs h2spec, which Go builds"]
async fn h2spec_passes_but_for_the_listed_exceptions() -> Result<()> {
    let (_app, host) = probe(&[]).await?;
    let report = tempfile::NamedTempFile::new()?;
    let mut h2spec = Command::new(artifacts::h2spec()?);
    h2spec
        .args(["--host", &host.address().ip().to_string()])
        .args(["--port", &host.address().port().to_string()])
        .args(["--path", "/hello", "--strict"])
        .args(["--timeout", "5", "--junit-report"])
        .arg(report.path());
    // Its exit code only repeats that something failed.
    let output = tokio::task::spawn_blocking(move || h2spec.output())
        .await?
        .context("run h2spec")?;
    let results = results(&std::fs::read_to_string(report.path())?);
    let output = String::from_utf8_lossy(&output.stdout);
    ensure!(
        results.len() >= MIN_TESTS,
        "only {}: {output}",
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

/// The tests of a JUnit report by `PACKAGE: DESCRIPTION`, and whether each has passed.
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
