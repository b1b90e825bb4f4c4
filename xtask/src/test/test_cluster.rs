//! A cluster of the tests' own: brought up for its suite and taken down after it.

use crate::cluster::Cluster;
use crate::{command, workspace};
use anyhow::{Context, Result};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use visits_support::environment::{self, Environment};
use visits_support::files;

/// The numbers of the tests' clusters. A developer's own cluster has 0 by default.
const NETWORKS: RangeInclusive<u8> = 1..=255;

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
    pub(super) fn new(programs: Cluster, directory: &str, families: &'static str) -> Result<Self> {
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
                .with_context(|| format!("cannot remove {}", cluster.logs.display()))?;
        }
        Ok(cluster)
    }

    /// Brings the cluster up, without the counter.
    pub(super) fn up(&self) -> Result<()> {
        self.run(&["up", "--empty", "--ip-families", self.families])
    }

    /// Stops and removes the cluster.
    pub(super) fn down(&self) -> Result<()> {
        self.run(&["down"])
    }

    /// Returns the environment of the cluster tool and of the suite.
    pub(super) fn environment(&self) -> Environment {
        let mut environment = self.programs.environment().clone();
        environment.set(environment::CLUSTER_DIRECTORY, &self.state);
        environment.set(environment::KUBECONFIG, self.state.join("kubeconfig"));
        if let Some(network) = &self.network {
            environment.set(environment::CLUSTER_NETWORK, network);
        }
        environment
    }

    /// Copies the logs of the node's programs, to investigate a failure.
    pub(super) fn keep_logs(&self) {
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
pub(super) fn has_ipv6() -> bool {
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
