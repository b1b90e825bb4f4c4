//! Programs with a deadline: none of the node's may hang a command for ever.

use anyhow::{Context, Result, bail, ensure};
use std::ffi::OsStr;
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long a command may take that takes a second on an idle machine.
const COMMAND: Duration = Duration::from_secs(120);

/// Runs a program to its end and returns its stdout; an error with all it wrote when it fails or does not end.
pub(crate) fn output(command: Command) -> Result<String> {
    output_from(command, Stdio::null())
}

/// The same with something to read.
pub(crate) fn output_from(command: Command, stdin: Stdio) -> Result<String> {
    let line = line(&command);
    let output = bounded(&command, COMMAND)
        .stdin(stdin)
        .output()
        .context("run timeout, which is part of coreutils")?;
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

/// This command, killed after `deadline`.
fn bounded(command: &Command, deadline: Duration) -> Command {
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
fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}
