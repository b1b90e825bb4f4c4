//! The committed outcomes: tests/conformance/results has a directory for each suite, its version and what it ran on, with
//! a file for each runtime.

use super::outcome::{Outcome, Outcomes};
use super::suite::{Runtime, Versions};
use crate::workspace;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The outcomes of one suite with one runtime.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) suite: String,
    pub(crate) version: String,
    pub(crate) platform: String,
    /// The last run with each runtime.
    pub(crate) runs: BTreeMap<String, Kept>,
}

/// A run that was kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// The day of the run.
    pub(crate) date: String,
    /// The outcomes. Tests that were skipped are left out.
    pub(crate) tests: Outcomes,
}

impl Results {
    /// Returns all results, in the order of their names.
    pub(crate) fn all() -> Result<Vec<Self>> {
        let directory = directory();
        let entries = std::fs::read_dir(&directory)
            .with_context(|| format!("cannot read the directory {}", directory.display()))?;
        let mut paths = entries
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<Vec<_>>>()?;
        paths.retain(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        });
        paths.sort();
        paths.iter().map(|path| read(path)).collect()
    }

    /// Puts the outcomes of a run in place of those of the last run with the same runtime. Leaves out skipped tests.
    pub(crate) fn put(&mut self, runtime: Runtime, mut tests: Outcomes) {
        tests.retain(|_, outcome| *outcome != Outcome::Skipped);
        let kept = Kept {
            date: today(),
            tests,
        };
        self.runs.insert(runtime.name().to_owned(), kept);
    }

    /// Returns the outcomes with a runtime.
    pub(crate) fn with(&self, runtime: Runtime) -> Option<&Kept> {
        self.runs.get(runtime.name())
    }
}

fn directory() -> PathBuf {
    workspace::root().join("tests/conformance/results")
}

fn read(path: &Path) -> Result<Results> {
    let describe = || format!("cannot read {}", path.display());
    let text = std::fs::read_to_string(path).with_context(describe)?;
    serde_json::from_str(&text).with_context(describe)
}

/// Writes the outcomes of a run, in place of those of the last run with the same runtime.
pub(crate) fn keep(
    suite: &str,
    versions: &Versions,
    runtime: Runtime,
    tests: Outcomes,
) -> Result<()> {
    let Versions {
        suite: version,
        platform,
    } = versions;
    let name = format!("{suite} {version} {platform}").replace(' ', "-");
    let path = directory().join(name).with_added_extension("json");
    let mut results = if path.exists() {
        read(&path)?
    } else {
        Results {
            suite: suite.to_owned(),
            version: version.clone(),
            platform: platform.clone(),
            runs: BTreeMap::new(),
        }
    };
    results.put(runtime, tests);
    let text = serde_json::to_string_pretty(&results)? + "\n";
    std::fs::create_dir_all(directory())?;
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

pub(crate) fn today() -> String {
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    now.chars().take(10).collect()
}
