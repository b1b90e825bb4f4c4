//! `ctr`, in a containerd namespace that Kubernetes does not use.

use anyhow::Result;
use std::ffi::OsStr;
use std::process::Command;
use visits_tests::{artifacts, command};

/// The containerd namespace of the containers that these tests make with `ctr`.
pub(crate) const NAMESPACE: &str = "visits";

/// Runs `ctr ARGUMENTS` and returns its stdout.
pub(crate) async fn run<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Result<String> {
    command::run_beside(command(NAMESPACE, arguments)?).await
}

/// Returns the command line `ctr ARGUMENTS` for a containerd namespace.
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

/// Whether this line is the warning that `ctr` prints first on machines with cgroup version 1.
pub(crate) fn is_warning(line: &str) -> bool {
    line.starts_with("time=") && line.contains("DEPRECATION")
}
