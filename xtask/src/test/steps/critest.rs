//! The step of critest, the one suite of others that each run of the tests includes. It takes half a minute and tries every call
//! that kubelet makes. `make conformance` runs the others.

use crate::test::plan::{Id, Plan};
use crate::{conformance, go};

/// Adds the build of critest, and its run with the shim on a node of its own. `node` is what a node needs.
pub(in crate::test) fn plan(plan: &mut Plan, node: &[Id]) {
    if let Some(why) = go::CONFORMANCE.missing() {
        plan.skip("critest", &why);
        return;
    }
    let built = plan.build("critest", node, |_| conformance::build_critest());
    plan.check("critest with preopen", &[built], |_| {
        conformance::compare_critest()
    });
}
