//! Reads the reports of the suites: Ginkgo's JSON, and the output of Go's own test programs.

use super::outcome::{Outcome, Outcomes};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::Path;

/// Returns the outcomes in a report that Ginkgo wrote because of `-ginkgo.json-report`.
pub(crate) fn ginkgo(report: &Path) -> Result<Outcomes> {
    let describe = || format!("cannot read the report {}", report.display());
    let text = std::fs::read_to_string(report).with_context(describe)?;
    let suites: Value = serde_json::from_str(&text).with_context(describe)?;
    let specs = suites.as_array().into_iter().flatten();
    let specs = specs.flat_map(|suite| suite["SpecReports"].as_array().into_iter().flatten());
    // The others prepare the suite and clean up.
    let specs = specs.filter(|spec| spec["LeafNodeType"] == "It");
    let outcomes: Outcomes = specs.map(spec).collect();
    ensure!(
        !outcomes.is_empty(),
        "the report {} has no tests",
        report.display()
    );
    Ok(outcomes)
}

fn spec(spec: &Value) -> (String, Outcome) {
    let containers = spec["ContainerHierarchyTexts"]
        .as_array()
        .into_iter()
        .flatten();
    let words: Vec<_> = containers
        .chain([&spec["LeafNodeText"]])
        .filter_map(Value::as_str)
        .collect();
    let outcome = match spec["State"].as_str() {
        Some("passed") => Outcome::Passed,
        Some("skipped" | "pending") => Outcome::Skipped,
        _ => Outcome::Failed,
    };
    (words.join(" "), outcome)
}

/// The byte before each line of the test framework because of `-test.v=test2json`. Tests write lines of their own between
/// them, often without an end.
const MARK: char = '\u{16}';

/// Returns the outcomes of top-level tests in the output of a Go test program that was run with `-test.v=test2json`. A test
/// that began and has no outcome has failed: the program ended before it.
pub(crate) fn go(output: &Path) -> Result<Outcomes> {
    let bytes = std::fs::read(output)
        .with_context(|| format!("cannot read the output {}", output.display()))?;
    let outcomes = go_outcomes(&String::from_utf8_lossy(&bytes));
    ensure!(
        !outcomes.is_empty(),
        "no test ran: see {}",
        output.display()
    );
    Ok(outcomes)
}

fn go_outcomes(text: &str) -> Outcomes {
    let mut outcomes = Outcomes::new();
    for piece in text.split(MARK).skip(1) {
        let words: Vec<_> = piece.split_whitespace().take(3).collect();
        let [sign, kind, name] = words[..] else {
            continue;
        };
        let outcome = match (sign, kind) {
            ("===", "RUN") => Outcome::Failed,
            ("---", "PASS:") => Outcome::Passed,
            ("---", "FAIL:") => Outcome::Failed,
            ("---", "SKIP:") => Outcome::Skipped,
            _ => continue,
        };
        if !name.contains('/') {
            outcomes.insert(name.to_owned(), outcome);
        }
    }
    outcomes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_go_test_that_began_and_did_not_end_has_failed() {
        let text = "log\n\u{16}=== RUN   TestA\nno newline\u{16}--- PASS: TestA (0.10s)\n\
                    \u{16}=== RUN   TestB\n\u{16}=== RUN   TestB/one\n    \u{16}--- PASS: TestB/one (0.00s)\n\
                    \u{16}=== RUN   TestC\n\u{16}--- SKIP: TestC (0.00s)\n--- PASS: TestD (0.00s)\n";
        let expected = [
            ("TestA", Outcome::Passed),
            ("TestB", Outcome::Failed),
            ("TestC", Outcome::Skipped),
        ];
        let expected: Outcomes = expected.map(|(name, end)| (name.to_owned(), end)).into();
        assert_eq!(go_outcomes(text), expected);
    }

    #[test]
    fn a_spec_has_the_name_of_all_its_levels() {
        let value = serde_json::json!({
            "ContainerHierarchyTexts": ["[k8s.io] Container", "runtime should support"],
            "LeafNodeType": "It",
            "LeafNodeText": "starting",
            "State": "panicked",
        });
        let expected = "[k8s.io] Container runtime should support starting".to_owned();
        assert_eq!(spec(&value), (expected, Outcome::Failed));
    }
}
