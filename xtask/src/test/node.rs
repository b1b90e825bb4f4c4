//! The node of the containerd suites: the programs that they run, and the cgroups of a run.

use super::debian;
use crate::setup::busybox;
use crate::{go, workspace};
use anyhow::{Context, Result};
use std::path::Path;
use visits_support::cgroup;
use visits_support::environment::{self, Environment};

/// The cgroups of a run are below one with this name and the number of the process.
const CGROUP: &str = "visits-test-";

/// Builds the programs of a node and returns the environment of the suites.
pub(super) fn build() -> Result<Environment> {
    let mut environment = Environment::default();
    let busybox = busybox().context("static busybox is not installed")?;
    environment.set(environment::BUSYBOX, busybox);
    environment.set(environment::SHIM, workspace::shim()?);
    environment.set(environment::NODE_PROGRAMS, go::NODE.build()?);
    let log = workspace::target()?.join("containerd-test.log");
    environment.set(environment::CONTAINERD_LOG, log);
    let cgroup = format!("{CGROUP}{}", std::process::id());
    environment.set(environment::CONTAINERD_CGROUP, cgroup);
    if debian::unavailable().is_none() {
        match debian::unpack() {
            Ok(directory) => environment.set(environment::DEBIAN_PROGRAMS, directory),
            Err(error) => {
                eprintln!("note: the tests of Debian's containerd are skipped: {error:#}");
            }
        }
    }
    Ok(environment)
}

/// The cgroups of a run, removed on drop.
pub(super) struct Cgroups(());

impl Cgroups {
    /// Removes those of runs that were killed.
    pub(super) fn new() -> Self {
        remove_cgroups();
        Self(())
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        remove_cgroups();
    }
}

/// Removes the cgroups of this run, and of every run that has ended.
fn remove_cgroups() {
    let hierarchies = cgroup::hierarchies().into_iter();
    for cgroup in hierarchies.flat_map(|hierarchy| cgroup::children(&hierarchy)) {
        let name = cgroup.file_name().and_then(|name| name.to_str());
        let Some(run) = name.and_then(|name| name.strip_prefix(CGROUP)) else {
            continue;
        };
        let own = run == std::process::id().to_string();
        let ended = !Path::new("/proc").join(run).exists();
        if (own || ended)
            && let Err(error) = cgroup::remove(&cgroup)
        {
            eprintln!("note: {error:#}");
        }
    }
}
