//! Programs with a deadline: a runtime that hangs must fail one test and not stop all.

use anyhow::{Context, Result, bail, ensure};
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long a command may take that takes a second on an idle machine.
pub(crate) const COMMAND: Duration = Duration::from_secs(60);

/// Runs a program to its end and returns its stdout; an error with all it wrote when it fails or does not end.
pub(crate) fn run(mut command: Command) -> Result<String> {
    let line = line(&command);
    let mut bounded = bounded(&mut command, COMMAND);
    let output = bounded
        .stdin(Stdio::null())
        .output()
        .context("run timeout, of coreutils")?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    // 128 + SIGKILL, by which `timeout` says that it has killed.
    if output.status.code() == Some(137) {
        bail!("`{line}` has not ended within {COMMAND:?}; stderr: {stderr}");
    }
    ensure!(
        output.status.success(),
        "`{line}`: {}; stderr: {stderr}",
        output.status
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The same without holding up the caller's other tasks.
pub(crate) async fn run_beside(command: Command) -> Result<String> {
    tokio::task::spawn_blocking(move || run(command))
        .await
        .context("the thread that runs a command")?
}

/// This command, killed after `deadline`.
fn bounded(command: &mut Command, deadline: Duration) -> Command {
    let mut bounded = Command::new("timeout");
    bounded
        .arg("--signal=KILL")
        .arg(deadline.as_secs().to_string())
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => bounded.env(name, value),
            None => bounded.env_remove(name),
        };
    }
    bounded
}

/// The command as one would type it.
pub(crate) fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}

/// A program of the node that `cargo xtask test` has built: containerd, ctr, runc, crictl or a network plugin.
pub(crate) fn node_binary(name: &str) -> Result<PathBuf> {
    Ok(node_binaries()?.join(name))
}

/// The directory of all of them.
pub(crate) fn node_binaries() -> Result<PathBuf> {
    named_by("NODE_BIN_DIR")
}

/// The shim.
pub(crate) fn shim() -> Result<PathBuf> {
    named_by("SHIM_BIN")
}

/// A busybox that needs no library.
pub(crate) fn busybox() -> Result<PathBuf> {
    named_by("BUSYBOX_BIN")
}

fn named_by(variable: &str) -> Result<PathBuf> {
    let path = std::env::var_os(variable)
        .map(PathBuf::from)
        .with_context(|| {
            format!("{variable} is not set: run `cargo xtask test containerd`, which sets it")
        })?;
    ensure!(path.exists(), "{variable}={}: no such file", path.display());
    Ok(path)
}
