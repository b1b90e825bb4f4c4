//! The metrics, as promtool's linter judges them.

use crate::counter;
use anyhow::{Context, Result};
use std::io::Write;
use std::process::{Command, Stdio};
use visits_tests::{Connection, Host, artifacts};

#[tokio::test]
async fn promlint_finds_nothing_wrong_with_the_metrics() -> Result<()> {
    let app = counter()?;
    let host = Host::of(&app).start().await?;
    let mut client = Connection::open(host.address()).await?;
    for when in ["before the first visit", "after it"] {
        let metrics = client.get("/metrics").await?;
        let metrics = metrics.text();
        assert!(metrics.contains("visits_total"), "{when}: {metrics}");
        assert_eq!(lint(metrics)?, "", "{when}");
        client.get("/").await?;
    }
    Ok(())
}

#[test]
fn promlint_finds_what_is_wrong_with_other_metrics() -> Result<()> {
    for (metrics, problem) in [
        ("# TYPE visits counter\nvisits 3\n", "\"_total\" suffix"),
        (
            "# TYPE visits_total counter\nvisits_total 3\n",
            "no help text",
        ),
        (
            "# HELP sync_milliseconds Time.\n# TYPE sync_milliseconds gauge\nsync_milliseconds 3\n",
            "base unit \"seconds\"",
        ),
        (
            "# TYPE visits_total counter\nvisits_total three\n",
            "parsing error",
        ),
    ] {
        let found = lint(metrics)?;
        assert!(found.contains(problem), "no {problem} in {found:?}");
    }
    Ok(())
}

/// Returns the linter's lines about `metrics`.
fn lint(metrics: &str) -> Result<String> {
    let mut linter = Command::new(artifacts::promlint()?)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut input = linter.stdin.take().context("no input")?;
    input.write_all(metrics.as_bytes())?;
    drop(input);
    let output = linter.wait_with_output()?;
    let lines = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8(lines)?)
}
