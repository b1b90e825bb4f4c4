//! The programs that were built for the node: their names and their directories.

use anyhow::Result;
use std::path::PathBuf;
use std::process::Command;
use visits_support::environment::{KUBERNETES_PROGRAMS, NODE_PROGRAMS};

/// The names of the programs that run on the node, each after the one that it depends on.
pub(crate) const NAMES: [&str; 7] = [
    "etcd",
    "containerd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
];

/// The directories of the programs, which `cargo xtask cluster` sets in the environment.
#[derive(Clone, Debug)]
pub(crate) struct Binaries {
    /// containerd, its shim and client, runc, network plugins.
    pub(crate) node: PathBuf,
    /// Kubernetes, kubectl, etcd.
    pub(crate) kubernetes: PathBuf,
}

impl Binaries {
    /// Reads them from the environment.
    pub(crate) fn from_environment() -> Result<Self> {
        Ok(Self {
            node: NODE_PROGRAMS.path()?,
            kubernetes: KUBERNETES_PROGRAMS.path()?,
        })
    }

    /// Adds them to the environment of a command.
    pub(crate) fn apply(&self, command: &mut Command) {
        command
            .env(NODE_PROGRAMS.name(), &self.node)
            .env(KUBERNETES_PROGRAMS.name(), &self.kubernetes);
    }
}
