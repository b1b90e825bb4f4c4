//! Programs with a deadline: a runtime that hangs must fail one test and not stop all.

use anyhow::{Context, Result, bail, ensure};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Seek, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long a command may take that takes a second on an idle machine.
pub const COMMAND: Duration = Duration::from_secs(60);

/// Runs a program to its end and returns its stdout; an error with all it wrote when it fails or does not end.
pub fn run(command: Command) -> Result<String> {
    text(Bounded::new(command).run()?)
}

/// The same without holding up the caller's other tasks.
pub async fn run_beside(command: Command) -> Result<String> {
    text(Bounded::new(command).run_beside().await?)
}

fn text(bytes: Vec<u8>) -> Result<String> {
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A program with another deadline than [`COMMAND`], or with an input.
#[derive(Debug)]
pub struct Bounded {
    command: Command,
    deadline: Duration,
    input: Vec<u8>,
}

impl Bounded {
    /// This program, without input.
    pub fn new(command: Command) -> Self {
        Self {
            command,
            deadline: COMMAND,
            input: Vec::new(),
        }
    }

    /// Gives it so long.
    #[must_use]
    pub fn within(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Gives it this to read.
    #[must_use]
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = bytes.into();
        self
    }

    /// Runs it to its end and returns its stdout; an error with all it wrote when it fails or does not end.
    pub fn run(self) -> Result<Vec<u8>> {
        let line = line(&self.command);
        let output = bounded(&self.command, self.deadline)
            .stdin(stdin(&self.input)?)
            .output()
            .context("run timeout, of coreutils")?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        // 128 + SIGKILL, by which `timeout` says that it has killed.
        if output.status.code() == Some(137) {
            let deadline = self.deadline;
            bail!("`{line}` has not ended within {deadline:?}; stderr: {stderr}");
        }
        ensure!(
            output.status.success(),
            "`{line}`: {}; stderr: {stderr}",
            output.status
        );
        Ok(output.stdout)
    }

    /// The same without holding up the caller's other tasks.
    pub async fn run_beside(self) -> Result<Vec<u8>> {
        tokio::task::spawn_blocking(move || self.run())
            .await
            .context("the thread that runs a command")?
    }
}

/// A file, which unlike a pipe takes all of it before the program runs.
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
    Ok(write()
        .context("keep a program's input in a temporary file")?
        .into())
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
    if let Some(directory) = command.get_current_dir() {
        bounded.current_dir(directory);
    }
    bounded
}

/// The command as one would type it.
pub fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}
