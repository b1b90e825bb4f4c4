//! The cluster suite, and the cluster that it runs on: brought up before it, taken down after it, whatever its outcome.

use super::plan::{Id, Plan};
use super::session::Session;
use super::steps;
use crate::cluster::Cluster;
use crate::setup::CLUSTER;
use crate::{cluster, command, dist, workspace};
use anyhow::{Context, Result};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use visits_support::environment::{self, Environment};
use visits_support::files;

/// The suite.
pub(super) const SUITE: &str = "cluster";
/// The suite that renders manifests with the cluster's kubectl.
pub(super) const MANIFESTS: &str = "manifests";

/// The part of the suite that needs the installer's image.
const INSTALLER: &str = "installer";
/// The part of the suite that needs a dual-stack cluster.
const BOTH_FAMILIES: &str = "families::";
/// The part of the suite that needs a cluster without IPv4.
const IPV6_ALONE: &str = "ipv6_alone::";

/// How many tests share the cluster at a time. Each waits for pods most of its time.
const THREADS: &str = "3";

/// The numbers of the tests' clusters. A developer's own cluster has 0 by default.
const NETWORKS: RangeInclusive<u8> = 1..=255;

/// Adds the steps of the suite. Where there can be no cluster, its tests are counted as skipped.
pub(super) fn plan(plan: &mut Plan, needs: &[Id]) {
    if let Some(why) = cluster::missing() {
        plan.skip("the cluster tests, and those that render manifests", &why);
        for suite in [MANIFESTS, SUITE] {
            steps::skipped_suite(plan, suite);
        }
        return;
    }
    let mut needs = needs.to_vec();
    needs.extend(plan.install(&CLUSTER));
    steps::browser_packages(plan);
    let kubernetes = plan.build("Kubernetes", &needs, |session| {
        session.programs = Some(Cluster::build()?);
        Ok(())
    });
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

/// A cluster of the tests' own.
pub(super) struct TestCluster {
    programs: Cluster,
    state: PathBuf,
    logs: PathBuf,
    /// The number of the network. It has none while a cluster of an earlier run is removed.
    network: Option<String>,
    families: &'static str,
}

impl TestCluster {
    /// Returns a cluster that is kept in this directory below cargo's target directory. If an earlier run was killed and
    /// left a cluster there, that one is removed.
    fn new(programs: Cluster, directory: &str, families: &'static str) -> Result<Self> {
        let target = workspace::target()?;
        let mut cluster = Self {
            programs,
            state: target.join(directory),
            logs: target.join(format!("{directory}-logs")),
            network: None,
            families,
        };
        if cluster.state.exists() {
            cluster.down()?;
        }
        cluster.network = Some(free_network()?);
        if cluster.logs.exists() {
            std::fs::remove_dir_all(&cluster.logs)
                .with_context(|| format!("remove {}", cluster.logs.display()))?;
        }
        Ok(cluster)
    }

    /// Brings the cluster up, without the counter.
    fn up(&self) -> Result<()> {
        self.run(&["up", "--empty", "--ip-families", self.families])
    }

    /// Stops and removes the cluster.
    fn down(&self) -> Result<()> {
        self.run(&["down"])
    }

    /// Returns the environment of the cluster tool and of the suite.
    fn environment(&self) -> Environment {
        let mut environment = self.programs.environment().clone();
        environment.set(environment::CLUSTER_DIRECTORY, &self.state);
        environment.set(environment::KUBECONFIG, self.state.join("kubeconfig"));
        if let Some(network) = &self.network {
            environment.set(environment::CLUSTER_NETWORK, network);
        }
        environment
    }

    /// Copies the logs of the node's programs, to investigate a failure.
    fn keep_logs(&self) {
        match files::copy_tree(&self.state.join("log"), &self.logs) {
            Ok(()) => eprintln!("note: the node's logs are in {}", self.logs.display()),
            Err(error) => eprintln!("note: the node's logs are lost: {error:#}"),
        }
    }

    fn run(&self, arguments: &[&str]) -> Result<()> {
        let mut command = self.programs.command();
        self.environment().apply(&mut command);
        command.args(arguments);
        command::run(command)
    }
}

/// Returns whether the kernel has IPv6.
fn has_ipv6() -> bool {
    Path::new("/proc/sys/net/ipv6").exists()
}

/// Returns the first number whose network interface does not exist.
fn free_network() -> Result<String> {
    NETWORKS
        .map(|number| number.to_string())
        .find(|number| {
            let interface = Path::new("/sys/class/net").join(format!("visits{number}"));
            !interface.exists()
        })
        .context("every network from 1 to 255 belongs to a running cluster: take some of them down")
}
