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

/// Lets no program that this process executes inherit a descriptor besides the standard streams. A shell may have passed some.
///
/// # Errors
///
/// Fails if `/proc` is not mounted.
#[cfg(target_os = "linux")]
pub fn keep_standard_streams() -> Result<()> {
    use rustix::io::{FdFlags, fcntl_setfd};
    use std::os::fd::BorrowedFd;
    const DIRECTORY: &str = "/proc/self/fd";
    let entries =
        std::fs::read_dir(DIRECTORY).with_context(|| format!("cannot read {DIRECTORY}"))?;
    let numbers = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    for number in numbers.filter(|number| *number > 2) {
        // SAFETY: the descriptor is used for this call only. It was open a moment ago; if it is not, the call fails.
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        let _ = fcntl_setfd(descriptor, FdFlags::CLOEXEC);
    }
    Ok(())
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_program_inherits_the_standard_streams_alone() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let passed_on = rustix::io::dup(&file).expect("it can be duplicated");
        let inherited = || {
            let mut ls = Command::new("ls");
            let listed = ls.args(["-l", "/proc/self/fd"]).output().expect("it runs");
            let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
            listed.contains(&file.path().display().to_string())
        };
        assert!(inherited(), "the control");
        keep_standard_streams().expect("/proc is mounted");
        assert!(!inherited());
        drop(passed_on);
    }
}
