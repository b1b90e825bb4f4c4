//! What a suite is: programs that are built, and a run with one runtime that has an outcome for each test.

use super::outcome::Outcomes;
use anyhow::Result;
use std::path::Path;

/// The runtime of the containers in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Runtime {
    /// The control: what fails here too is the machine's fault.
    Runc,
    /// The shim under test.
    Preopen,
}

impl Runtime {
    /// Both, in the order of the runs.
    pub(crate) const BOTH: [Self; 2] = [Self::Runc, Self::Preopen];

    /// Returns its name, which is also that of the handler in containerd's configuration.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Runc => "runc",
            Self::Preopen => "preopen",
        }
    }

    /// Returns its type, the name by which containerd finds the shim.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Runc => "io.containerd.runc.v2",
            Self::Preopen => "io.containerd.preopen.v1",
        }
    }
}

/// The versions of what a run consists of.
#[derive(Clone, Debug)]
pub(crate) struct Versions {
    /// The suite's own version.
    pub(crate) suite: String,
    /// What it runs on, such as `containerd v2.4.2`.
    pub(crate) platform: String,
}

/// One run of a suite.
pub(crate) struct Run<'a> {
    pub(crate) runtime: Runtime,
    /// The directory for reports and logs. It exists.
    pub(crate) directory: &'a Path,
    /// A regular expression that selects tests.
    pub(crate) only: Option<&'a str>,
    /// How often critest tries a test that fails.
    pub(crate) attempts: u32,
}

/// A suite of tests that others wrote.
pub(crate) trait Suite: Sync {
    /// Returns the name by which it is selected.
    fn name(&self) -> &'static str;

    /// Builds its programs and everything that it runs on, unless `built`, and returns the versions.
    fn prepare(&self, built: bool) -> Result<Versions>;

    /// Runs it. A test that fails is an outcome, not an error.
    fn run(&self, run: &Run) -> Result<Outcomes>;
}
