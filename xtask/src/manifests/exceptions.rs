//! The exceptions: checks that fail on purpose, each with its reason.

use super::judges::Finding;
use crate::workspace;
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::collections::BTreeSet;

/// The file, below the repository's top.
const FILE: &str = "tests/manifests/judges/exceptions.toml";

/// All exceptions, and which of their checks have applied.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Exceptions {
    #[serde(rename = "exception")]
    all: Vec<Exception>,
    #[serde(skip)]
    used: BTreeSet<(String, String)>,
}

/// One exception.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    tool: String,
    checks: Vec<String>,
    /// Where it applies. Everywhere, if it is empty.
    #[serde(default)]
    directories: Vec<String>,
    reason: String,
}

impl Exceptions {
    pub(super) fn read() -> Result<Self> {
        let path = workspace::root().join(FILE);
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| FILE.to_owned())
    }

    fn parse(text: &str) -> Result<Self> {
        let exceptions: Self = toml::from_str(text)?;
        for exception in &exceptions.all {
            ensure!(
                !exception.reason.trim().is_empty(),
                "{} has no reason",
                exception.checks.join(", ")
            );
        }
        Ok(exceptions)
    }

    /// Returns whether a finding has a reason.
    pub(super) fn explain(&mut self, directory: &str, finding: &Finding) -> bool {
        let explained = self.all.iter().any(|exception| {
            exception.tool == finding.tool
                && exception.checks.contains(&finding.check)
                && (exception.directories.is_empty()
                    || exception.directories.iter().any(|it| it == directory))
        });
        if explained {
            let used = (finding.tool.to_owned(), finding.check.clone());
            self.used.insert(used);
        }
        explained
    }

    /// Returns the checks that no finding needed an exception for.
    pub(super) fn unused(&self) -> Vec<String> {
        let all = self.all.iter().flat_map(|exception| {
            let checks = exception.checks.iter();
            checks.map(|check| (exception.tool.clone(), check.clone()))
        });
        all.filter(|check| !self.used.contains(check))
            .map(|(tool, check)| format!("{tool}: {check}"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
[[exception]]
tool = "a"
checks = ["one", "two"]
directories = ["k8s"]
reason = "why"
"#;

    fn finding(tool: &'static str, check: &str) -> Finding {
        Finding {
            tool,
            check: check.into(),
            detail: String::new(),
        }
    }

    #[test]
    fn an_exception_applies_to_its_tool_check_and_directory_alone() {
        let mut exceptions = Exceptions::parse(TEXT).expect("it is valid");
        assert!(exceptions.explain("k8s", &finding("a", "one")));
        assert!(!exceptions.explain("other", &finding("a", "one")));
        assert!(!exceptions.explain("k8s", &finding("b", "one")));
        assert!(!exceptions.explain("k8s", &finding("a", "three")));
        assert_eq!(exceptions.unused(), ["a: two"]);
    }

    #[test]
    fn an_exception_needs_a_reason() {
        let error = Exceptions::parse(&TEXT.replace("why", " ")).expect_err("it has none");
        assert_eq!(error.to_string(), "one, two has no reason");
    }
}
