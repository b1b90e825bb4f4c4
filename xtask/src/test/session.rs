//! What the steps of a run share: the environment of the tests, a cache of compiled components for all hosts of the run,
//! and the node and the cluster of the suites that need one.

use super::node::Cgroups;
use crate::cluster::Cluster;
use crate::test_cluster::TestCluster;
use crate::{cargo, setup, workspace};
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use visits_support::environment::{self, Environment, Variable};

/// The state of one run. Its cache directory is removed on drop.
pub(crate) struct Session {
    environment: Environment,
    cache: PathBuf,
    screenshots: PathBuf,
    /// The cgroups of the containerd suites, once these are built.
    pub(super) cgroups: Option<Cgroups>,
    /// The programs of a cluster, once these are built.
    pub(super) programs: Option<Cluster>,
    /// The cluster of the cluster suite, while it is up.
    pub(super) cluster: Option<TestCluster>,
    /// Whether each step so far has passed.
    pub(super) passed: Vec<bool>,
}

impl Session {
    /// Creates the directories and the environment of tests that need only the host and the guests.
    pub(crate) fn new() -> Result<Self> {
        let target = workspace::target()?;
        static SESSIONS: AtomicU64 = AtomicU64::new(0);
        let session = SESSIONS.fetch_add(1, Ordering::Relaxed);
        let cache = target.join(format!("test-cache-{}-{session}", std::process::id()));
        create_private(&cache)?;
        let screenshots = target.join("screenshots");
        let mut environment = Environment::default();
        environment.set(environment::HOST, workspace::preopen()?);
        // The copy that `up` serves: a build of bench/sdk replaces the original by one without a handler.
        environment.set(environment::COUNTER, workspace::root().join("visits.wasm"));
        environment.set(environment::PROBE, workspace::guest("probe")?);
        environment.set(environment::COMMAND, workspace::guest("command")?);
        environment.set(environment::HELLO, workspace::guest("hello")?);
        environment.set(environment::NAIVE, workspace::guest("naive")?);
        environment.set(environment::SDKS, workspace::sdks()?);
        environment.set(environment::HOST_CACHE, &cache);
        environment.set(environment::SCREENSHOTS, &screenshots);
        let mut session = Self {
            environment,
            cache,
            screenshots,
            cgroups: None,
            programs: None,
            cluster: None,
            passed: Vec::new(),
        };
        session.find_chromium()?;
        Ok(session)
    }

    /// Adds a variable to the environment of the tests.
    pub(super) fn set(&mut self, variable: Variable, value: impl Into<OsString>) {
        self.environment.set(variable, value);
    }

    /// Adds all variables of another environment.
    pub(super) fn extend(&mut self, environment: &Environment) {
        self.environment.extend(environment);
    }

    /// Returns whether a variable is set for the tests.
    pub(super) fn has(&self, variable: Variable) -> bool {
        self.environment.path(variable).is_some()
    }

    /// Returns the directory for the browser test's pictures.
    pub(crate) fn screenshots(&self) -> &Path {
        &self.screenshots
    }

    /// Returns the programs of a cluster.
    pub(super) fn programs(&self) -> Result<&Cluster> {
        self.programs.as_ref().context("Kubernetes is not built")
    }

    /// Finds the browser, and returns whether there is one.
    pub(super) fn find_chromium(&mut self) -> Result<bool> {
        let chromium = setup::chromium()?;
        if let Some(path) = &chromium {
            self.environment.set(environment::CHROMIUM, path);
        }
        Ok(chromium.is_some())
    }

    /// Adds the environment of the tests to a command.
    pub(crate) fn apply(&self, command: &mut Command) {
        self.environment.apply(command);
    }

    /// Returns `cargo test` of these targets, with the environment.
    pub(crate) fn cargo_test(&self, targets: &[&str]) -> Result<Command> {
        let mut command = cargo::native("test")?;
        // A failing crate must not hide the next one.
        command.arg("--no-fail-fast").args(targets);
        self.apply(&mut command);
        Ok(command)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.cache) {
            eprintln!("note: cannot remove {}: {error}", self.cache.display());
        }
    }
}

/// Creates a directory that nobody else can write to, because the host runs the machine code in it.
pub(crate) fn create_private(directory: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .with_context(|| format!("cannot create {}", directory.display()))
}
