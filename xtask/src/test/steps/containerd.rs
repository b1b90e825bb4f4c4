//! The steps of the containerd suites.

use crate::setup::NODE;
use crate::test::debian;
use crate::test::node::{self, Cgroups};
use crate::test::plan::{Id, Plan};
use crate::{cargo, command, go, workspace};
use anyhow::Result;
use visits_support::environment;
use visits_support::process::is_root;

/// The suites: the shim under containerd, and the installer of the shim.
pub(in crate::test) const SUITES: [&str; 2] = ["containerd", "installer"];

/// Returns why the suites cannot run here, if so. Missing packages that can be installed are no reason.
fn unavailable() -> Option<String> {
    if !is_root() {
        return Some("root on Linux is needed".into());
    }
    go::NODE.missing().or_else(|| NODE.unavailable())
}

/// Adds the steps of the suites. If they cannot run, their tests are counted as skipped. Otherwise returns what else a node needs.
pub(in crate::test) fn plan(plan: &mut Plan, needs: &[Id]) -> Option<Vec<Id>> {
    if let Some(why) = unavailable() {
        plan.skip("the containerd and installer tests, and critest", &why);
        for suite in SUITES {
            super::skipped_suite(plan, suite);
        }
        return None;
    }
    if let Some(why) = debian::unavailable() {
        plan.skip("the tests of Debian's containerd", &why);
    }
    let needs = node(plan, needs);
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
    Some(needs)
}

/// Adds the tests in whose names this is, and which kill shims or containerd.
pub(in crate::test) fn kills(plan: &mut Plan, needs: &[Id], name: &'static str) {
    if let Some(why) = unavailable() {
        plan.skip("kills on a node", &why);
        return;
    }
    let needs = node(plan, needs);
    plan.tests("kills on a node", &needs, move |session| {
        let mut command = session.cargo_test(&["--test", SUITES[0]])?;
        command.args(runner()?);
        command.args(["--", "--include-ignored", "--nocapture", name]);
        Ok(command)
    });
}

/// Adds the builds of the shim and of a node's programs. Returns what the suites need.
fn node(plan: &mut Plan, needs: &[Id]) -> Vec<Id> {
    let mut needs = needs.to_vec();
    needs.extend(plan.install(&NODE));
    let shim = plan.build("the shim", &needs, |_| command::run(cargo::shim()?));
    let node = plan.build("containerd and its tools", &needs, |session| {
        session.cgroups = Some(Cgroups::new());
        session.extend(&node::build()?);
        Ok(())
    });
    needs.extend([shim, node]);
    needs
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
