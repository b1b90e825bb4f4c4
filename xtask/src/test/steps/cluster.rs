//! The steps of the cluster suite: each part runs on a cluster that is brought up before it and taken down after it,
//! whatever its outcome.

use crate::cluster::{self, Cluster};
use crate::dist;
use crate::setup::CLUSTER;
use crate::test::plan::{Id, Plan};
use crate::test::session::Session;
use crate::test_cluster::{TestCluster, has_ipv6};
use anyhow::Context;
use visits_support::environment;

/// The suite.
pub(in crate::test) const SUITE: &str = "cluster";
/// The suite that renders manifests with the cluster's kubectl.
pub(in crate::test) const MANIFESTS: &str = "manifests";

/// The part of the suite that needs the installer's image.
const INSTALLER: &str = "installer";
/// The part of the suite that needs a dual-stack cluster.
const BOTH_FAMILIES: &str = "families::";
/// The part of the suite that needs a cluster without IPv4.
const IPV6_ALONE: &str = "ipv6_alone::";

/// How many tests share the cluster at a time. Each waits for pods most of its time.
pub(super) const THREADS: &str = "3";

/// Adds the steps of the suite. Where there can be no cluster, its tests are counted as skipped.
pub(in crate::test) fn plan(plan: &mut Plan, needs: &[Id]) {
    if let Some(why) = cluster::missing() {
        plan.skip("the cluster tests, and those that render manifests", &why);
        for suite in [MANIFESTS, SUITE] {
            super::skipped_suite(plan, suite);
        }
        return;
    }
    super::host::browser_packages(plan);
    let kubernetes = kubernetes(plan, needs);
    plan.build("the installer's image", &[kubernetes], |session| {
        session.set(environment::INSTALLER_IMAGE, dist::pack_for_tests()?);
        Ok(())
    });
    plan.tests(MANIFESTS, &[kubernetes], |session| {
        let mut command = session.cargo_test(&["--test", MANIFESTS])?;
        session.programs()?.environment().apply(&mut command);
        command.args(["--", "--include-ignored"]);
        Ok(command)
    });
    on_cluster(
        plan,
        kubernetes,
        &USUAL,
        if has_ipv6() { "dual" } else { "ipv4" },
    );
    if has_ipv6() {
        on_cluster(plan, kubernetes, &WITHOUT_IPV4, "ipv6");
    } else {
        plan.skip("the cluster tests of IPv6", "the kernel has no IPv6");
    }
}

/// Adds the test that kills kubelet, on a cluster.
pub(in crate::test) fn kills(plan: &mut Plan, needs: &[Id]) {
    if let Some(why) = cluster::missing() {
        plan.skip("kills of kubelet", &why);
        return;
    }
    let kubernetes = kubernetes(plan, needs);
    on_cluster(plan, kubernetes, &KILLS, "ipv4");
}

/// Adds the build of a cluster's programs.
fn kubernetes(plan: &mut Plan, needs: &[Id]) -> Id {
    let mut needs = needs.to_vec();
    needs.extend(plan.install(&CLUSTER));
    plan.build("Kubernetes", &needs, |session| {
        session.programs = Some(Cluster::build()?);
        Ok(())
    })
}

/// A part of the suite that runs on a cluster of its own.
struct Part {
    /// The name of its step.
    name: &'static str,
    /// The cluster, in the names of its steps.
    cluster: &'static str,
    /// The cluster's directory below cargo's target directory.
    directory: &'static str,
    /// Returns the arguments that select its tests.
    arguments: fn(&Session) -> Vec<&'static str>,
}

const USUAL: Part = Part {
    name: SUITE,
    cluster: "the cluster",
    directory: "cluster-test",
    arguments: |session| {
        let mut arguments = vec!["--test-threads", THREADS, "--skip", IPV6_ALONE];
        if !session.has(environment::INSTALLER_IMAGE) {
            arguments.extend(["--skip", INSTALLER]);
        }
        if !has_ipv6() {
            arguments.extend(["--skip", BOTH_FAMILIES]);
        }
        arguments
    },
};

const WITHOUT_IPV4: Part = Part {
    name: "cluster, IPv6 alone",
    cluster: "the cluster, IPv6 alone",
    directory: "cluster-test-ipv6",
    arguments: |_| vec![IPV6_ALONE],
};

const KILLS: Part = Part {
    name: "kills of kubelet",
    cluster: "the cluster",
    directory: "cluster-test",
    arguments: |_| vec!["--nocapture", "kubelet_is_killed"],
};

/// Adds the steps that bring a cluster up, run a part of the suite on it, and take it down.
fn on_cluster(plan: &mut Plan, programs: Id, part: &'static Part, families: &'static str) {
    let up = plan.build(part.cluster, &[programs], move |session| {
        let cluster = TestCluster::new(session.programs()?.clone(), part.directory, families)?;
        session.cluster.insert(cluster).up()
    });
    let tests = plan.tests(part.name, &[up], |session| {
        let mut command = session.cargo_test(&["--test", SUITE])?;
        let cluster = session.cluster.as_ref().context("there is no cluster")?;
        cluster.environment().apply(&mut command);
        command.args(["--", "--include-ignored"]);
        command.args((part.arguments)(session));
        Ok(command)
    });
    let end = format!("the end of {}", part.cluster);
    plan.build(&end, &[programs], move |session| {
        let Some(cluster) = session.cluster.take() else {
            return Ok(());
        };
        if tests.of(&session.passed) != Some(true) {
            cluster.keep_logs();
        }
        cluster.down()
    });
}
