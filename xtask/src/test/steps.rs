//! The steps of each kind of tests, and here those that several kinds share.
//!
//! - [`host`]: the host over TCP, the suites that need nothing else, and the browser
//! - [`disks`]: the counter on file systems whose disk fails
//! - [`containerd`]: the shim and its installer; [`critest`]: the shim judged by the CRI's own tests
//! - [`cluster`], [`foreign`]: the whole on Kubernetes, on a cluster of the tests' own or on another
//! - [`lint`]: the lints

pub(super) mod cluster;
pub(super) mod containerd;
pub(super) mod critest;
pub(super) mod disks;
pub(super) mod foreign;
pub(super) mod host;
pub(super) mod lint;

use super::plan::{Id, Plan};
use crate::setup::{self, NODE};
use crate::{cargo, command, component, go, toolbox};
use std::process::Command;
use visits_support::environment;
use visits_support::process::is_root;

/// The packages that are components. Each is built and linted for its own target.
pub(super) const GUESTS: [&str; 5] = ["visits", "probe", "command", "hello", "naive"];

/// The component that only the benchmark runs.
pub(super) const MEASURED_GUESTS: [&str; 1] = ["visits-sdk"];

/// Adds the installation of the shim's C library if it is missing. It decides whether any build includes the shim.
/// Returns whether the shim can be linked.
pub(super) fn shim_library(plan: &mut Plan) -> bool {
    if setup::shim_links() {
        return true;
    }
    if let Some(why) = NODE.unavailable() {
        plan.skip("the shim and its tests", &why);
        return false;
    }
    plan.install(&NODE);
    true
}

/// Adds the unit tests and the examples in the documentation.
pub(super) fn unit(plan: &mut Plan) {
    plan.tests("unit", &[], |session| {
        let targets = ["--lib", "--bins", "--examples"];
        let mut tests = session.cargo_test(&targets)?;
        // A backtrace for each error of each schedule takes a third of their time.
        tests.env("RUST_LIB_BACKTRACE", "0");
        Ok(with_ignored(tests))
    });
    // An ignored example cannot run anywhere.
    plan.tests("examples", &[], |session| session.cargo_test(&["--doc"]));
}

/// Adds the builds of the components.
pub(super) fn guests(plan: &mut Plan) -> Vec<Id> {
    vec![
        // The counter alone first: the tests then run the same bytes that `up` serves.
        plan.build("the component", &[], |_| component::run()),
        plan.build("the other guests", &[], |_| {
            command::run(cargo::guests("build", &GUESTS[1..])?)
        }),
    ]
}

/// Adds the builds that all suites need. The toolbox comes before anything that compiles the shim, which includes it.
pub(super) fn builds(plan: &mut Plan, with_toolbox: bool) -> Vec<Id> {
    let mut built = guests(plan);
    built.push(plan.build("the host", &[], |_| command::run(cargo::host()?)));
    if with_toolbox {
        built.push(plan.build("the toolbox", &[], |_| toolbox::run()));
    }
    built
}

/// Adds the build of the programs that judge histories and metrics.
pub(super) fn judge(plan: &mut Plan) {
    match go::JUDGES.missing() {
        Some(why) => plan.skip("the tests whose results others judge", &why),
        None => drop(
            plan.build("the judges of histories and metrics", &[], |session| {
                let programs = go::JUDGES.build()?;
                session.set(environment::LINEARIZABLE, programs.join("linearizable"));
                session.set(environment::PROMLINT, programs.join("promlint"));
                Ok(())
            }),
        ),
    }
}

/// Adds a suite that cannot run here, so that its tests are counted as skipped: all of them are ignored by default.
pub(super) fn skipped_suite(plan: &mut Plan, suite: &'static str) {
    plan.tests(suite, &[], move |session| {
        session.cargo_test(&["--test", suite])
    });
}

/// Includes the ignored tests, which need root on Linux, if this is root on Linux. More options of libtest may follow.
fn with_ignored(mut command: Command) -> Command {
    command.arg("--");
    if is_root() {
        command.arg("--include-ignored");
    }
    command
}

fn include_ignored(mut command: Command) -> Command {
    command.args(["--", "--include-ignored"]);
    command
}
