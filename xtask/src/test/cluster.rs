//! The cluster that its suite runs on: brought up for it, taken down after it, whatever happens in between.

use crate::cluster::Cluster;
use crate::command;
use crate::{dist, workspace};
use anyhow::{Context, Result};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The numbers that the tests' cluster can have, one that no other has: a developer's own, who gives no number, is 0.
const NETWORKS: RangeInclusive<u8> = 1..=255;

/// A cluster of the tests' own.
pub(super) struct TestCluster {
    cluster: Cluster,
    state: PathBuf,
    logs: PathBuf,
    network: String,
    families: &'static str,
    installer: Option<PathBuf>,
}

impl TestCluster {
    /// Builds what it takes, and removes what a run that was killed has left.
    pub(super) fn build() -> Result<Self> {
        let target = workspace::target()?;
        let mut cluster = Self {
            cluster: Cluster::build()?,
            state: target.join("cluster-test"),
            logs: target.join("cluster-test-logs"),
            network: String::new(),
            families: if has_ipv6() { "dual" } else { "ipv4" },
            installer: installer(),
        };
        cluster.clear()?;
        Ok(cluster)
    }

    /// Returns another one, to be brought up after this one has ended: its network has IPv6 alone.
    pub(super) fn with_ipv6_alone(&self) -> Result<Self> {
        let target = workspace::target()?;
        let mut cluster = Self {
            cluster: self.cluster.clone(),
            state: target.join("cluster-test-ipv6"),
            logs: target.join("cluster-test-ipv6-logs"),
            network: String::new(),
            families: "ipv6",
            installer: None,
        };
        cluster.clear()?;
        Ok(cluster)
    }

    /// Removes what an earlier run has left, and finds a free network.
    fn clear(&mut self) -> Result<()> {
        if self.state.exists() {
            self.down()?;
        }
        self.network = free_network()?;
        if self.logs.exists() {
            std::fs::remove_dir_all(&self.logs)
                .with_context(|| format!("remove {}", self.logs.display()))?;
        }
        Ok(())
    }

    /// Brings it up with no counter on it.
    pub(super) fn up(&self) -> Result<()> {
        self.run(&["up", "--empty", "--ip-families", self.families])
    }

    /// Ends and removes it.
    pub(super) fn down(&self) -> Result<()> {
        self.run(&["down"])
    }

    /// Gives it to the suite.
    pub(super) fn apply(&self, command: &mut Command) {
        self.cluster.apply(command);
        self.place(command);
        command
            .env("CLUSTER_BIN", self.cluster.program())
            .env("KUBECONFIG", self.state.join("kubeconfig"));
        if let Some(installer) = &self.installer {
            command.env("INSTALLER_IMAGE", installer);
        }
    }

    /// Whether there is the installer's image, too.
    pub(super) fn has_installer(&self) -> bool {
        self.installer.is_some()
    }

    /// Keeps what the node's programs have logged, for whoever looks into a failure.
    pub(super) fn keep_logs(&self) {
        match copy(&self.state.join("log"), &self.logs) {
            Ok(()) => eprintln!("note: the node's logs are in {}", self.logs.display()),
            Err(error) => eprintln!("note: the node's logs are lost: {error:#}"),
        }
    }

    fn run(&self, arguments: &[&str]) -> Result<()> {
        let mut command = self.cluster.command();
        self.place(&mut command);
        command.args(arguments);
        command::run(command)
    }

    fn place(&self, command: &mut Command) {
        command.env("VISITS_CLUSTER_DIR", &self.state);
        // One that was left by another run has its own.
        if !self.network.is_empty() {
            command.env("VISITS_CLUSTER_NETWORK", &self.network);
        }
    }
}

/// Returns whether the kernel has IPv6.
pub(super) fn has_ipv6() -> bool {
    Path::new("/proc/sys/net/ipv6").exists()
}

/// The first number whose interface is not there.
fn free_network() -> Result<String> {
    NETWORKS
        .map(|number| number.to_string())
        .find(|number| {
            !Path::new("/sys/class/net")
                .join(format!("visits{number}"))
                .exists()
        })
        .context("every network from 1 to 255 is a running cluster's: take some of them down")
}

/// The installer's image; nothing, with a note, where it cannot be made.
fn installer() -> Option<PathBuf> {
    let pack = || -> Result<PathBuf> {
        let directory = workspace::dist()?;
        dist::pack(&directory)?;
        Ok(directory.join("preopen-node-oci.tar"))
    };
    pack()
        .inspect_err(|error| eprintln!("note: the installer's tests are left out: {error:#}"))
        .ok()
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to).with_context(|| format!("make {}", to.display()))?;
    let entries = std::fs::read_dir(from).with_context(|| format!("read {}", from.display()))?;
    for entry in entries {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            std::fs::copy(entry.path(), &to).with_context(|| format!("write {}", to.display()))?;
        }
    }
    Ok(())
}
