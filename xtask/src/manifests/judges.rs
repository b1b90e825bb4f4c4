//! The linters: kube-score, checkov, and kubernetes-validate for every minor version of Kubernetes from 1.30 on that it knows.
//!
//! They are built from pinned sources once for all clones on a machine.

use crate::command::quietly;
use crate::setup::PYTHON;
use crate::{cache, go, workspace};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The linters of PyPI, below the repository's top.
const REQUIREMENTS: &str = "tests/manifests/judges/requirements.txt";

/// The oldest minor version of Kubernetes that is validated, and the newest whose schemas kubernetes-validate has.
const VERSIONS: std::ops::RangeInclusive<u32> = 30..=37;

/// The grade that kube-score gives a check that passes.
const PASSED: i64 = 10;

/// A check that fails.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) tool: &'static str,
    /// The tool's own name of the check.
    pub(super) check: String,
    /// The object, and what the tool says about it.
    pub(super) detail: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.tool, self.check, self.detail)
    }
}

/// What all linters say about one file.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// How many checks passed.
    pub(super) passed: usize,
    pub(super) findings: Vec<Finding>,
}

/// The linters' programs.
pub(super) struct Judges {
    kube_score: PathBuf,
    /// The Python that has the linters of PyPI. Their own scripts name the directory in which they were installed.
    python: PathBuf,
}

impl Judges {
    /// Builds those that no earlier run has built.
    pub(super) fn prepare() -> Result<Self> {
        Ok(Self {
            kube_score: go::KUBE_SCORE.build()?.join("kube-score"),
            python: python()?,
        })
    }

    /// Judges the objects in one file.
    pub(super) fn judge(&self, manifests: &Path) -> Result<Verdict> {
        let mut verdict = Verdict::default();
        self.kube_score(manifests, &mut verdict)?;
        self.checkov(manifests, &mut verdict)?;
        for minor in VERSIONS {
            self.kubernetes_validate(minor, manifests, &mut verdict)?;
        }
        Ok(verdict)
    }

    fn kube_score(&self, manifests: &Path, verdict: &mut Verdict) -> Result<()> {
        let mut score = Command::new(&self.kube_score);
        score
            .args(["score", "--output-format", "json"])
            .arg(manifests);
        let objects: Vec<Value> = serde_json::from_slice(&output(&mut score)?)
            .context("kube-score printed no list of objects")?;
        ensure!(!objects.is_empty(), "kube-score has seen no object");
        for object in &objects {
            let checks = object["checks"].as_array().context("no checks")?;
            for check in checks.iter().filter(|check| check["skipped"] != true) {
                if check["grade"].as_i64() == Some(PASSED) {
                    verdict.passed += 1;
                    continue;
                }
                let comments = check["comments"].as_array().into_iter().flatten();
                let comments: Vec<_> = comments
                    .filter_map(|comment| comment["summary"].as_str())
                    .collect();
                verdict.findings.push(Finding {
                    tool: "kube-score",
                    check: text(&check["check"]["id"])?,
                    detail: format!("{}: {}", text(&object["object_name"])?, comments.join("; ")),
                });
            }
        }
        Ok(())
    }

    fn checkov(&self, manifests: &Path, verdict: &mut Verdict) -> Result<()> {
        let mut checkov = Command::new(&self.python);
        checkov
            .args([
                "-m",
                "checkov.main",
                "--framework",
                "kubernetes",
                "--output",
                "json",
            ])
            // It would ask a server for its guidelines.
            .args(["--quiet", "--skip-download", "--file"])
            .arg(manifests);
        let report: Value =
            serde_json::from_slice(&output(&mut checkov)?).context("checkov printed no report")?;
        let passed = report["summary"]["passed"].as_u64();
        let passed = passed.filter(|passed| *passed > 0);
        verdict.passed += usize::try_from(passed.context("checkov has checked nothing")?)?;
        let failed = report["results"]["failed_checks"].as_array();
        for check in failed.context("checkov names no failed checks")? {
            verdict.findings.push(Finding {
                tool: "checkov",
                check: text(&check["check_id"])?,
                detail: format!(
                    "{}: {}",
                    text(&check["resource"])?,
                    text(&check["check_name"])?
                ),
            });
        }
        Ok(())
    }

    fn kubernetes_validate(
        &self,
        minor: u32,
        manifests: &Path,
        verdict: &mut Verdict,
    ) -> Result<()> {
        let mut validate = Command::new(&self.python);
        let version = format!("1.{minor}");
        validate
            .args([
                "-m",
                "kubernetes_validate",
                "--strict",
                "--kubernetes-version",
                &version,
            ])
            .arg(manifests);
        let output = validate
            .output()
            .context("cannot run kubernetes-validate")?;
        let lines = [output.stdout, output.stderr].concat();
        let lines = String::from_utf8_lossy(&lines).into_owned();
        ensure!(!lines.is_empty(), "kubernetes-validate has seen no object");
        for line in lines.lines() {
            let (level, rest) = line.split_once(' ').unwrap_or((line, ""));
            match level {
                "INFO" => verdict.passed += 1,
                _ => verdict.findings.push(Finding {
                    tool: "kubernetes-validate",
                    check: check_of(level, rest),
                    detail: format!("Kubernetes {version}: {line}"),
                }),
            }
        }
        Ok(())
    }
}

/// Returns a name for what a line of kubernetes-validate says.
fn check_of(level: &str, rest: &str) -> String {
    match rest.split_once("find schema for kind ") {
        Some((_, kind)) => {
            let kind = kind.split(' ').next().unwrap_or_default();
            format!("no schema for {kind}")
        }
        None => level.to_lowercase(),
    }
}

/// Runs a linter, whose exit code says no more than its report, and returns the report.
fn output(command: &mut Command) -> Result<Vec<u8>> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {:?}", command.get_program()))?;
    ensure!(
        !output.stdout.is_empty(),
        "{:?} printed nothing: {}",
        command.get_program(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(output.stdout)
}

fn text(value: &Value) -> Result<String> {
    let text = value.as_str().map(str::to_owned);
    text.with_context(|| format!("{value} is no text"))
}

/// Returns the Python that has the linters of PyPI, after installing them if no earlier run has.
fn python() -> Result<PathBuf> {
    let path = workspace::root().join(REQUIREMENTS);
    let requirements = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let mut hasher = DefaultHasher::new();
    requirements.hash(&mut hasher);
    let name = format!("manifests-{:016x}", hasher.finish());
    let directory = cache::directory()?.join("python").join(name);
    if !directory.is_dir() {
        PYTHON.prepare()?;
    }
    let directory = cache::filled(directory, |partial| {
        eprintln!("installing checkov and kubernetes-validate: some two minutes the first time");
        quietly(
            Command::new("python3")
                .args(["-m", "venv", "--copies"])
                .arg(partial),
        )?;
        quietly(
            Command::new(partial.join("bin/python"))
                .args([
                    "-m",
                    "pip",
                    "install",
                    "--no-deps",
                    "--only-binary",
                    ":all:",
                ])
                .arg("--requirement")
                .arg(&path),
        )
    })?;
    Ok(directory.join("bin/python"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_without_a_schema_is_a_check_of_its_own() {
        let rest = "a.yaml Couldn't find schema for kind ServiceMonitor with api version v1";
        assert_eq!(check_of("WARN", rest), "no schema for ServiceMonitor");
        assert_eq!(check_of("ERROR", "a.yaml did not validate"), "error");
    }
}
