//! Runs programs with a deadline: one that hangs fails one step and does not stop the command.

use anyhow::{Context, Result, bail, ensure};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Seek, Write};
use std::process::{Command, Stdio};

/// The deadline in seconds of a command that takes a second on an idle machine.
const DEADLINE: u32 = 60;

/// Runs a program to its end and returns its stdout. If it fails or misses the deadline, the error has its stderr.
pub(crate) fn run(command: Command) -> Result<String> {
    run_with_input(command, &[])
}

/// Runs a program that reads `input` from stdin; otherwise like [`run`].
pub(crate) fn run_with_input(command: Command, input: &[u8]) -> Result<String> {
    let line = line(&command);
    let output = bounded(&command)
        .stdin(stdin(input)?)
        .output()
        .context("run timeout, of coreutils")?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    // `timeout` exits with 128 + SIGKILL after it has killed the program.
    if output.status.code() == Some(137) {
        bail!("`{line}` has not ended within {DEADLINE} s; stderr: {stderr}");
    }
    ensure!(
        output.status.success(),
        "`{line}`: {}; stderr: {stderr}",
        output.status
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Returns the input as a file, which, unlike a pipe, takes all of it before the program runs.
fn stdin(input: &[u8]) -> Result<Stdio> {
    if input.is_empty() {
        return Ok(Stdio::null());
    }
    let write = || -> std::io::Result<File> {
        let mut file = tempfile::tempfile()?;
        file.write_all(input)?;
        file.rewind()?;
        Ok(file)
    };
    let file = write().context("keep a program's input in a temporary file")?;
    Ok(file.into())
}

/// Returns the same command, killed after the deadline.
fn bounded(command: &Command) -> Command {
    let mut bounded = Command::new("timeout");
    bounded
        .arg("--signal=KILL")
        .arg(DEADLINE.to_string())
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

/// Returns the command as one would type it.
fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}
