//! The containerd suites: whether they can run here, the programs they run, and the cgroups of a run.

use super::plan::{Id, Plan};
use super::session::Session;
use super::{debian, steps};
use crate::setup::{NODE, busybox};
use crate::{cargo, command, go, workspace};
use anyhow::{Context, Result};
use std::path::Path;
use visits_support::process::is_root;
use visits_support::{cgroup, environment};

/// The suites: the shim under containerd, and the installer of the shim.
pub(super) const SUITES: [&str; 2] = ["containerd", "installer"];

/// The cgroups of a run are below one with this name and the number of the process.
const CGROUP: &str = "visits-test-";

/// Returns why the suites cannot run here, if so. Missing packages that can be installed are no reason.
fn unavailable() -> Option<String> {
    if !is_root() {
        return Some("root on Linux is needed".into());
    }
    go::NODE.missing().or_else(|| NODE.unavailable())
}

/// Adds the steps of the suites. Where they cannot run, their tests are counted as skipped.
pub(super) fn plan(plan: &mut Plan, needs: &[Id]) {
    if let Some(why) = unavailable() {
        plan.skip("the containerd and installer tests", &why);
        for suite in SUITES {
            steps::skipped_suite(plan, suite);
        }
        return;
    }
    if let Some(why) = debian::unavailable() {
        plan.skip("the tests of Debian's containerd", &why);
    }
    let mut needs = needs.to_vec();
    needs.extend(plan.install(&NODE));
    let shim = plan.build("the shim", &needs, |_| command::run(cargo::shim()?));
    let node = plan.build("containerd and its tools", &needs, build);
    needs.extend([shim, node]);
    for suite in SUITES {
        plan.tests(suite, &needs, move |session| {
            let mut command = session.cargo_test(&["--test", suite])?;
            command.args(runner()?).args(["--", "--include-ignored"]);
            if !session.has(environment::DEBIAN_PROGRAMS) {
                command.args(["--skip", "debian"]);
            }
            Ok(command)
        });
    }
}

/// Builds the programs of a node and adds everything that the suites need to their environment.
fn build(session: &mut Session) -> Result<()> {
    session.cgroups = Some(Cgroups::new());
    let busybox = busybox().context("static busybox is not installed")?;
    session.set(environment::BUSYBOX, busybox);
    session.set(environment::SHIM, workspace::shim()?);
    session.set(environment::NODE_PROGRAMS, go::NODE.build()?);
    let log = workspace::target()?.join("containerd-test.log");
    session.set(environment::CONTAINERD_LOG, log);
    let cgroup = format!("{CGROUP}{}", std::process::id());
    session.set(environment::CONTAINERD_CGROUP, cgroup);
    if debian::unavailable().is_none() {
        match debian::unpack() {
            Ok(directory) => session.set(environment::DEBIAN_PROGRAMS, directory),
            Err(error) => {
                eprintln!("note: the tests of Debian's containerd are skipped: {error:#}");
            }
        }
    }
    Ok(())
}

/// Returns the options with which cargo runs tests through `contained`, in namespaces of their own.
fn runner() -> Result<[String; 2]> {
    let contained = workspace::program("contained")?;
    // The path as a TOML string, whose escapes are those of a Rust string.
    Ok([
        "--config".into(),
        format!("target.'cfg(unix)'.runner = [{contained:?}]"),
    ])
}

/// The cgroups of a run, removed on drop.
pub(super) struct Cgroups(());

impl Cgroups {
    /// Removes those of runs that were killed.
    fn new() -> Self {
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
