//! The current user, orphaned processes, and a command as text.

use anyhow::{Context, Result};
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, WaitStatus, wait};
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

/// Returns whether this process is root on Linux, and so may mount volumes and install packages.
pub fn is_root() -> bool {
    cfg!(target_os = "linux") && rustix::process::geteuid().is_root()
}

/// Returns a command as one would type it, with its program's file name instead of the whole path.
pub fn line(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(command.get_program());
    let words = std::iter::once(name).chain(command.get_args());
    let words: Vec<_> = words.map(OsStr::to_string_lossy).collect();
    words.join(" ")
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
                    .with_context(|| format!("wait for process {}", pid.as_raw_nonzero()));
            }
        }
    }
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
}
