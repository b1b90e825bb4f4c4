//! The steps of the unit tests, of the builds, and of the suites that run the host.

use super::plan::{Id, Plan};
use super::session::Session;
use super::{Kind, suites};
use crate::setup::{BROWSER, NODE, PROXIES};
use crate::{cargo, command, component, go, sdks, setup, toolbox};
use anyhow::Result;
use std::process::Command;
use visits_support::environment;
use visits_support::process::is_root;

/// The packages that are components. Each is built and linted for its own target.
pub(super) const GUESTS: [&str; 4] = ["visits", "probe", "command", "hello"];

/// The suite of the host over TCP.
pub(super) const HOST: &str = "host";
/// The suite in a browser.
pub(super) const BROWSER_SUITE: &str = "browser";

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
        Ok(with_ignored(session.cargo_test(&["--lib", "--bins"])?))
    });
    // An ignored example cannot run anywhere.
    plan.tests("examples", &[], |session| session.cargo_test(&["--doc"]));
}

/// Adds the builds that all suites need. The toolbox comes before anything that compiles the shim, which includes it.
pub(super) fn builds(plan: &mut Plan, kind: Kind, shim: bool) -> Vec<Id> {
    let needs_shim = matches!(kind, Kind::All | Kind::Containerd | Kind::Cluster) && shim;
    let mut built = vec![
        // The counter alone first: the tests then run the same bytes that `up` serves.
        plan.build("the component", &[], |_| component::run()),
        plan.build("the other guests", &[], |_| {
            command::run(cargo::guests("build", &GUESTS[1..])?)
        }),
        plan.build("the host", &[], |_| command::run(cargo::host()?)),
    ];
    if needs_shim {
        built.push(plan.build("the toolbox", &[], |_| toolbox::run()));
    }
    built
}

/// Adds the builds of the components of other SDKs. If one fails, its tests fail and name this step.
pub(super) fn other_sdks(plan: &mut Plan) {
    for packages in sdks::requirements() {
        match packages.unavailable() {
            Some(why) => plan.skip("builds of components of other SDKs", &why),
            None => drop(plan.install(packages)),
        }
    }
    plan.build("components of other SDKs", &[], |_| sdks::build());
}

/// Adds the tests of the host over TCP, and all suites that need nothing else.
pub(super) fn host(plan: &mut Plan, needs: &[Id]) -> Result<()> {
    match go::H2SPEC.missing() {
        Some(why) => plan.skip("the host tests with h2spec", &why),
        None => drop(plan.build("h2spec", &[], |session| {
            session.set(environment::H2SPEC, go::H2SPEC.build()?.join("h2spec"));
            Ok(())
        })),
    }
    match PROXIES.unavailable() {
        Some(why) => plan.skip("the host tests with missing reverse proxies", &why),
        None => drop(plan.install(&PROXIES)),
    }
    if !is_root() {
        plan.skip("the tests that mount volumes", "root on Linux is needed");
    }
    plan.tests(HOST, needs, host_tests);
    for suite in suites::names()? {
        if !super::NAMED_SUITES.contains(&suite.as_str()) {
            plan.tests(&suite.clone(), needs, move |session| {
                Ok(with_ignored(session.cargo_test(&["--test", &suite])?))
            });
        }
    }
    Ok(())
}

/// Returns the tests of the host, without those for which something is missing.
fn host_tests(session: &mut Session) -> Result<Command> {
    let mut skipped = Vec::new();
    for (name, variable, path) in [
        ("nginx", environment::NGINX, setup::nginx()),
        ("haproxy", environment::HAPROXY, setup::haproxy()),
    ] {
        match path {
            Some(path) => session.set(variable, path),
            None => skipped.push(name),
        }
    }
    if !session.has(environment::H2SPEC) {
        skipped.push("h2spec");
    }
    if !is_root() {
        // The one test of this suite that mounts.
        skipped.push("a_read_only_mount");
    }
    let mut command = session.cargo_test(&["--test", HOST])?;
    command.args(["--", "--include-ignored"]);
    command.args(skipped.iter().flat_map(|name| ["--skip", name]));
    Ok(command)
}

/// Adds the tests in a browser. Without one they are counted as skipped.
pub(super) fn browser(plan: &mut Plan, needs: &[Id]) {
    browser_packages(plan);
    plan.tests(BROWSER_SUITE, needs, |session| {
        let found = session.find_chromium()?;
        let command = session.cargo_test(&["--test", BROWSER_SUITE])?;
        Ok(if found {
            include_ignored(command)
        } else {
            command
        })
    });
}

/// Adds the installation of the browser.
pub(super) fn browser_packages(plan: &mut Plan) {
    match BROWSER.unavailable() {
        Some(why) => plan.skip("the browser tests", &why),
        None => drop(plan.install(&BROWSER)),
    }
}

/// Adds a suite that cannot run here, so that its tests are counted as skipped: all of them are ignored by default.
pub(super) fn skipped_suite(plan: &mut Plan, suite: &'static str) {
    plan.tests(suite, &[], move |session| {
        session.cargo_test(&["--test", suite])
    });
}

/// Includes the ignored tests, which need root on Linux, if this is root on Linux.
fn with_ignored(command: Command) -> Command {
    if is_root() {
        include_ignored(command)
    } else {
        command
    }
}

fn include_ignored(mut command: Command) -> Command {
    command.args(["--", "--include-ignored"]);
    command
}
