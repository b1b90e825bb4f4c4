//! The step of the suite that cuts the power of disks and lets them fail.

use super::include_ignored;
use crate::setup::DISKS;
use crate::test::plan::{Id, Plan};
use std::path::Path;
use visits_support::process::is_root;

/// The suite of real file systems on disks that lose power, fail or hang.
pub(in crate::test) const SUITE: &str = "disks";

/// Returns why the suite cannot run here, if so. Missing packages that can be installed are no reason.
fn unavailable() -> Option<String> {
    if !is_root() {
        return Some("root on Linux is needed".into());
    }
    for device in ["/dev/fuse", "/dev/loop-control"] {
        if !Path::new(device).exists() {
            return Some(format!("{device} is missing"));
        }
    }
    DISKS.unavailable()
}

/// Adds the suite. Where it cannot run, its tests are counted as skipped.
pub(in crate::test) fn plan(plan: &mut Plan, needs: &[Id]) {
    add(plan, needs, Vec::new());
}

/// Adds the suite, or its tests with this text in their names, with what they report.
pub(in crate::test) fn long(plan: &mut Plan, needs: &[Id], filter: Option<&'static str>) {
    let shown = std::iter::once("--nocapture");
    add(plan, needs, shown.chain(filter).collect());
}

fn add(plan: &mut Plan, needs: &[Id], options: Vec<&'static str>) {
    if let Some(why) = unavailable() {
        plan.skip("the tests of failing disks", &why);
        super::skipped_suite(plan, SUITE);
        return;
    }
    let mut needs = needs.to_vec();
    needs.extend(plan.install(&DISKS));
    plan.tests(SUITE, &needs, move |session| {
        let mut command = include_ignored(session.cargo_test(&["--test", SUITE])?);
        command.args(options);
        Ok(command)
    });
}
