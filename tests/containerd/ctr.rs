//! `ctr`, in a namespace of containerd's that Kubernetes does not look at.

use anyhow::Result;
use std::ffi::OsStr;
use std::process::Command;
use visits_tests::{artifacts, command};

/// containerd's namespace of the containers that these tests make by `ctr`.
pub(crate) const NAMESPACE: &str = "visits";

/// Runs `ctr ARGUMENTS` and returns its stdout.
pub(crate) async fn run<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Result<String> {
    command::run_beside(command(NAMESPACE, arguments)?).await
}

/// `ctr ARGUMENTS` in any of containerd's namespaces.
pub(crate) fn command<A: AsRef<OsStr>>(
    namespace: &str,
    arguments: impl IntoIterator<Item = A>,
) -> Result<Command> {
    let mut command = Command::new(artifacts::node_binary("ctr")?);
    command
        .args(["--connect-timeout", "5s", "--namespace", namespace])
        .args(arguments);
    Ok(command)
}
