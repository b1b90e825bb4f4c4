//! The current user, orphaned processes, and the exit code of a command.

use anyhow::{Context, Result};
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, WaitStatus, wait};
use std::process::ExitCode;

/// Returns whether this process is root on Linux, and so may mount volumes and install packages.
pub fn is_root() -> bool {
    cfg!(target_os = "linux") && rustix::process::geteuid().is_root()
}

/// Waits for a child of this process, and reaps every other child that ends before it. The first process of a PID
/// namespace needs this, because orphans become its children.
///
/// # Errors
///
/// Fails if the process is not a child of this one.
pub fn reap_until(pid: Pid) -> Result<WaitStatus> {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((ended, status))) if ended == pid => return Ok(status),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("cannot wait for process {}", pid.as_raw_nonzero()));
            }
        }
    }
}

/// Returns the exit code for a command's result, and prints its error to stderr.
pub fn exit_code(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
