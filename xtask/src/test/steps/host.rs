//! The steps of the suites that run the host: over TCP, on directories, and under a browser.

use super::{include_ignored, with_ignored};
use crate::setup::{self, ATTACKS, BROWSER, PROXIES};
use crate::test::plan::{Id, Plan};
use crate::test::session::Session;
use crate::{go, sdks};
use anyhow::Result;
use std::process::Command;
use visits_support::environment;
use visits_support::process::is_root;
use visits_support::programs::find;

/// The suite of the host over TCP.
pub(in crate::test) const HOST: &str = "host";
/// The suite in a browser.
pub(in crate::test) const BROWSER_SUITE: &str = "browser";

/// Adds the builds of the components of other SDKs. If one fails, its tests fail and name this step.
pub(in crate::test) fn other_sdks(plan: &mut Plan) {
    for packages in sdks::requirements() {
        match packages.unavailable() {
            Some(why) => plan.skip("builds of components of other SDKs", &why),
            None => drop(plan.install(packages)),
        }
    }
    plan.build("components of other SDKs", &[], |_| sdks::build());
}

/// Adds the tests of the host over TCP, and the other suites, which need nothing else.
pub(in crate::test) fn plan(plan: &mut Plan, needs: &[Id], others: Vec<String>) {
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
    match ATTACKS.unavailable() {
        Some(why) => plan.skip("the host test with slowhttptest", &why),
        None => drop(plan.install(&ATTACKS)),
    }
    if !is_root() {
        plan.skip("the tests that mount volumes", "root on Linux is needed");
    }
    plan.tests(HOST, needs, host_tests);
    for suite in others {
        plan.tests(&suite.clone(), needs, move |session| {
            let mut command = with_ignored(session.cargo_test(&["--test", &suite])?);
            if !session.has(environment::LINEARIZABLE) {
                command.args(["--skip", "linearizable", "--skip", "promlint"]);
            }
            Ok(command)
        });
    }
}

/// Adds the tests that kill hosts.
pub(in crate::test) fn kills(plan: &mut Plan, needs: &[Id]) {
    plan.tests("kills of hosts", needs, |session| {
        let mut command = session.cargo_test(&["--test", "counting"])?;
        command.args(["--", "--nocapture", "kills::"]);
        Ok(command)
    });
}

/// Returns the tests of the host, without those for which something is missing.
fn host_tests(session: &mut Session) -> Result<Command> {
    let mut skipped = Vec::new();
    for (name, variable, path) in [
        ("nginx", environment::NGINX, setup::nginx()),
        ("haproxy", environment::HAPROXY, setup::haproxy()),
        (
            "slowhttptest",
            environment::SLOWHTTPTEST,
            find(&["slowhttptest"]),
        ),
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
        skipped.push("mounts::");
    }
    let mut command = session.cargo_test(&["--test", HOST])?;
    command.args(["--", "--include-ignored"]);
    command.args(skipped.iter().flat_map(|name| ["--skip", name]));
    Ok(command)
}

/// Adds the tests in a browser. Without one they are counted as skipped.
pub(in crate::test) fn browser(plan: &mut Plan, needs: &[Id]) {
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
