//! The test suites, as cargo knows them: a suite that is added to tests/Cargo.toml runs without a change here.

use crate::cargo;
use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The package of all suites.
const PACKAGE: &str = "visits-tests";

/// Returns the names of all suites.
pub(super) fn names() -> Result<Vec<String>> {
    let mut metadata = cargo::command("metadata")?;
    let output = metadata
        .args(["--no-deps", "--format-version", "1"])
        .output()
        .context("cannot run cargo metadata")?;
    ensure!(
        output.status.success(),
        "cargo metadata failed: {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata")?;
    let package = list(&metadata["packages"])
        .iter()
        .find(|package| package["name"] == PACKAGE)
        .with_context(|| format!("cargo metadata lists no package {PACKAGE}"))?;
    let targets = list(&package["targets"]).iter();
    let suites = targets.filter(|target| list(&target["kind"]).contains(&"test".into()));
    let names = suites.map(|suite| suite["name"].as_str().map(str::to_owned));
    names
        .collect::<Option<_>>()
        .context("cargo metadata lists a target without a name")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suites_that_a_step_names_exist() {
        let suites = names().expect("cargo lists the targets");
        for name in crate::test::NAMED_SUITES {
            assert!(suites.iter().any(|suite| suite == name), "{suites:?}");
        }
    }
}
