//! Programs with a deadline, so that one that hangs fails a single test or step.

use crate::files;
use anyhow::{Context, Result, bail, ensure};
use std::ffi::OsStr;
use std::io::{Seek, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::Duration;

/// The deadline of a command that takes a second on an idle machine.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// The signal that `timeout` sends at the deadline.
const SIGKILL: i32 = 9;

/// Returns a command as one would type it, with its program's file name instead of the whole path.
pub fn line(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(command.get_program());
    let words = std::iter::once(name).chain(command.get_args());
    let words: Vec<_> = words.map(OsStr::to_string_lossy).collect();
    words.join(" ")
}

/// Runs a program to its end within [`DEADLINE`] and returns its stdout.
///
/// # Errors
///
/// As those of [`Bounded::run`].
pub fn run(command: Command) -> Result<String> {
    let stdout = Bounded::new(command).run()?;
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}

/// A program with a deadline, and optionally an input.
#[derive(Debug)]
pub struct Bounded {
    command: Command,
    deadline: Duration,
    input: Vec<u8>,
}

impl Bounded {
    /// Returns a program with the usual deadline, [`DEADLINE`], and no input.
    pub fn new(command: Command) -> Self {
        Self {
            command,
            deadline: DEADLINE,
            input: Vec::new(),
        }
    }

    /// Sets another deadline.
    #[must_use]
    pub fn within(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sets the program's input.
    #[must_use]
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = bytes.into();
        self
    }

    /// Runs the program to its end and returns its stdout.
    ///
    /// # Errors
    ///
    /// Fails with the program's stderr if the program fails or misses the deadline.
    pub fn run(self) -> Result<Vec<u8>> {
        let line = line(&self.command);
        let output = self.output()?;
        ensure!(
            output.status.success(),
            "`{line}`: {}; stderr: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(output.stdout)
    }

    /// Runs the program to its end, for programs whose exit code is a result.
    ///
    /// # Errors
    ///
    /// Fails with the program's stderr if the program misses the deadline.
    pub fn output(self) -> Result<Output> {
        let output = bounded(&self.command, self.deadline)
            .stdin(stdin(&self.input)?)
            .output()
            .context("cannot run `timeout`, which is part of coreutils")?;
        if was_killed(output.status) {
            let (line, deadline) = (line(&self.command), self.deadline);
            let stderr = String::from_utf8_lossy(&output.stderr);
            bail!("`{line}` did not end within {deadline:?}; stderr: {stderr}");
        }
        Ok(output)
    }

    /// Runs the program as [`Bounded::run`] does, without blocking the caller's other tasks.
    ///
    /// # Errors
    ///
    /// As those of [`Bounded::run`].
    #[cfg(feature = "tokio")]
    pub async fn run_beside(self) -> Result<Vec<u8>> {
        tokio::task::spawn_blocking(move || self.run())
            .await
            .context("the thread that runs a command")?
    }
}

/// Returns whether `timeout` has killed the program. That of coreutils kills itself with the same signal; others exit
/// with 128 and the signal's number.
fn was_killed(timeout: ExitStatus) -> bool {
    timeout.signal() == Some(SIGKILL) || timeout.code() == Some(128 + SIGKILL)
}

/// Returns the input as a file, which, unlike a pipe, takes all of it before the program runs.
fn stdin(input: &[u8]) -> Result<Stdio> {
    if input.is_empty() {
        return Ok(Stdio::null());
    }
    let write = || {
        let mut file = files::unnamed()?;
        file.write_all(input)?;
        file.rewind()?;
        std::io::Result::Ok(file)
    };
    let file = write().context("cannot write a program's input to a temporary file")?;
    Ok(file.into())
}

/// Returns the command with `timeout` before it, which kills the program at the deadline.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_programs_name_and_its_arguments() {
        let mut command = Command::new("/usr/bin/cargo");
        command.args(["test", "--lib"]);
        assert_eq!(line(&command), "cargo test --lib");
    }

    #[test]
    fn a_program_reads_its_input_and_its_stdout_is_returned() {
        let read = Bounded::new(Command::new("cat")).input("text").run();
        assert_eq!(read.expect("cat succeeds"), b"text");
        let nothing = run(Command::new("cat")).expect("cat succeeds");
        assert_eq!(nothing, "");
    }

    #[test]
    fn a_program_that_hangs_is_killed_at_the_deadline() {
        let mut sleep = Command::new("sleep");
        sleep.arg("60");
        let killed = Bounded::new(sleep).within(Duration::from_secs(1)).run();
        let error = killed.expect_err("it does not end").to_string();
        assert_eq!(error, "`sleep 60` did not end within 1s; stderr: ");
    }

    #[test]
    fn the_error_of_a_program_that_fails_has_its_stderr() {
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo reason >&2; exit 3"]);
        let error = run(shell).expect_err("it fails").to_string();
        assert!(error.contains("exit status: 3; stderr: reason"), "{error}");
    }
}
