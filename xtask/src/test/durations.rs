//! How long each step takes: its last successful run on this machine, kept in cargo's target directory, or a figure for
//! a machine with two cores on which nothing is built.

use crate::workspace;
use anyhow::{Context, Result};
use serde_json::{Map, Value};
use std::path::PathBuf;
use std::time::Duration;
use visits_support::files;

/// Seconds on two cores, with nothing built and no package in a cache.
const TWO_CORES: &[(&str, u64)] = &[
    ("cargo fmt", 1),
    ("build: the component", 60),
    ("build: the other guests", 13),
    ("build: the host", 300),
    ("build: the toolbox", 130),
    ("test: unit", 400),
    ("test: examples", 5),
    ("build: components of other SDKs", 240),
    ("build: h2spec", 30),
    ("build: the judges of histories and metrics", 20),
    ("test: host", 90),
    ("test: counting", 35),
    ("test: disks", 30),
    ("build: the shim", 5),
    ("build: containerd and its tools", 100),
    ("test: containerd", 200),
    ("test: installer", 55),
    ("build: critest", 240),
    ("critest with preopen", 35),
    ("test: browser", 10),
    ("build: Kubernetes", 480),
    ("build: the installer's image", 40),
    ("test: manifests", 5),
    ("build: the cluster", 45),
    ("test: cluster", 500),
    ("build: the end of the cluster", 1),
    ("build: the cluster, IPv6 alone", 40),
    ("test: cluster, IPv6 alone", 20),
    ("build: the end of the cluster, IPv6 alone", 1),
    ("test: unit, the quick ones", 480),
    ("cargo clippy", 110),
    ("cargo clippy, the guests", 6),
    ("cargo clippy, the toolbox", 20),
    ("shellcheck", 1),
    ("cargo doc", 30),
    ("build: cargo-deny", 180),
    ("cargo deny", 3),
];

/// Seconds that the installation of packages takes.
const INSTALL: u64 = 30;

/// The durations of the steps that have run on this machine.
#[derive(Default)]
pub(super) struct Durations {
    file: Option<PathBuf>,
    seconds: Map<String, Value>,
}

impl Durations {
    /// Reads the file of earlier runs. There is none before the first run, and one that cannot be read is ignored.
    pub(super) fn load() -> Result<Self> {
        let file = workspace::target()?.join("test-durations.json");
        let seconds = std::fs::read(&file).ok();
        let seconds = seconds.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Ok(Self {
            seconds: seconds.unwrap_or_default(),
            file: Some(file),
        })
    }

    /// Returns the duration of a step's last successful run on this machine.
    pub(super) fn last(&self, step: &str) -> Option<Duration> {
        let seconds = self.seconds.get(step)?.as_f64()?;
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// Returns the duration of a step on two cores with nothing built.
    pub(super) fn usual(&self, step: &str) -> Option<Duration> {
        if step.starts_with("install: ") {
            return Some(Duration::from_secs(INSTALL));
        }
        let (_, seconds) = TWO_CORES.iter().find(|(name, _)| *name == step)?;
        Some(Duration::from_secs(*seconds))
    }

    /// Sets the duration of a step.
    pub(super) fn set(&mut self, step: &str, duration: Duration) {
        let tenths = (duration.as_secs_f64() * 10.0).round() / 10.0;
        self.seconds.insert(step.to_owned(), tenths.into());
    }

    /// Writes the file, after each step, because a run may be interrupted.
    pub(super) fn save(&self) -> Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let text = serde_json::to_string_pretty(&self.seconds)?;
        files::replace(file, text.as_bytes()).context("durations of the steps")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_that_was_saved_is_that_of_the_last_run() {
        let file = std::env::temp_dir().join(format!("visits-durations-{}", std::process::id()));
        let mut durations = Durations {
            file: Some(file.clone()),
            ..Durations::default()
        };
        assert_eq!(durations.last("a step"), None);
        durations.set("a step", Duration::from_millis(1250));
        durations.save().expect("it is written");
        let text = std::fs::read_to_string(&file).expect("it is there");
        std::fs::remove_file(&file).expect("it is there");
        assert_eq!(text, "{\n  \"a step\": 1.3\n}");
        assert_eq!(durations.last("a step"), Some(Duration::from_millis(1300)));
    }
}
