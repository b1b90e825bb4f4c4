//! A cluster of the tests' own: brought up for its suite and taken down after it.

use crate::cluster::Cluster;
use crate::{command, workspace};
use anyhow::{Context, Result};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Command;
use visits_support::environment::{self, Environment};
use visits_support::files;

/// The numbers of the tests' clusters. A developer's own cluster has 0 by default.
const NETWORKS: RangeInclusive<u8> = 1..=255;

/// A cluster of the tests' own.
pub(crate) struct TestCluster {
    programs: Cluster,
    state: PathBuf,
    logs: PathBuf,
    /// The number of the network. It has none while a cluster of an earlier run is removed.
    network: Option<String>,
    families: &'static str,
    runtime: &'static str,
}

impl TestCluster {
    /// Returns a cluster that is kept in this directory below cargo's target directory. If an earlier run was killed and
    /// left a cluster there, that one is removed.
    pub(crate) fn new(programs: Cluster, directory: &str, families: &'static str) -> Result<Self> {
        let target = workspace::target()?;
        let mut cluster = Self {
            programs,
            state: target.join(directory),
            logs: target.join(format!("{directory}-logs")),
            network: None,
            families,
            runtime: "runc",
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

    /// Sets the runtime of pods without a RuntimeClass, which is runc otherwise.
    pub(crate) fn with_runtime(mut self, runtime: &'static str) -> Self {
        self.runtime = runtime;
        self
    }

    /// Brings the cluster up, without the counter.
    pub(crate) fn up(&self) -> Result<()> {
        let mut up = self.tool(&["up", "--empty", "--ip-families", self.families]);
        up.args(["--default-runtime", self.runtime]);
        command::run(up)
    }

    /// Imports the images in an archive.
    pub(crate) fn import(&self, archive: &Path) -> Result<()> {
        let mut import = self.tool(&["import"]);
        import.arg(archive);
        command::run(import)
    }

    /// Runs a command on the node and returns what it prints.
    pub(crate) fn node(&self, command: &[&str]) -> Result<String> {
        let mut node = self.tool(&["node", "--"]);
        node.args(command);
        visits_support::command::run(node)
    }

    /// Returns the path of the administrator's kubeconfig.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.state.join("kubeconfig")
    }

    /// Stops and removes the cluster.
    pub(crate) fn down(&self) -> Result<()> {
        command::run(self.tool(&["down"]))
    }

    /// Returns the environment of the cluster tool and of the suite.
    pub(crate) fn environment(&self) -> Environment {
        let mut environment = self.programs.environment().clone();
        environment.set(environment::CLUSTER_DIRECTORY, &self.state);
        environment.set(environment::KUBECONFIG, self.kubeconfig());
        if let Some(network) = &self.network {
            environment.set(environment::CLUSTER_NETWORK, network);
        }
        environment
    }

    /// Copies the logs of the node's programs, to investigate a failure.
    pub(crate) fn keep_logs(&self) {
        match files::copy_tree(&self.state.join("log"), &self.logs) {
            Ok(()) => eprintln!("note: the node's logs are in {}", self.logs.display()),
            Err(error) => eprintln!("note: the node's logs are lost: {error:#}"),
        }
    }

    fn tool(&self, arguments: &[&str]) -> Command {
        let mut command = self.programs.command();
        self.environment().apply(&mut command);
        command.args(arguments);
        command
    }
}

/// Returns whether the kernel has IPv6.
pub(crate) fn has_ipv6() -> bool {
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
