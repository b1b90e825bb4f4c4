//! Processes as `/proc` describes them.

use anyhow::{Context, Result};
use rustix::process::{Pid, kill_process};
use std::path::PathBuf;
use visits_tests::{DEADLINE, Signal, wait};

/// Returns a field of `/proc/PID/status`: `Uid`, `CapEff`, `Seccomp`.
pub(crate) fn status(pid: i32, name: &str) -> Result<String> {
    let path = format!("/proc/{pid}/status");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    Ok(value
        .with_context(|| format!("{path} has no {name}"))?
        .trim()
        .to_owned())
}

/// A process and its command line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Process {
    /// The process id.
    pub(crate) pid: i32,
    /// The words of the command line, joined by spaces.
    pub(crate) line: String,
}

/// Returns all processes. Those that end meanwhile are left out.
pub(crate) fn all() -> Result<Vec<Process>> {
    let mut processes = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let Some(pid) = entry?
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let path = PathBuf::from(format!("/proc/{pid}"));
        let Ok(line) = std::fs::read(path.join("cmdline")) else {
            continue;
        };
        let line = String::from_utf8_lossy(&line)
            .replace('\0', " ")
            .trim_end()
            .to_owned();
        processes.push(Process { pid, line });
    }
    processes.sort();
    Ok(processes)
}

/// Returns the parent of a process. The parent of a container's first process is its shim.
pub(crate) fn parent(pid: i32) -> Result<i32> {
    status(pid, "PPid")?.parse().context("PPid is not a number")
}

/// Whether this process exists and has not ended.
pub(crate) fn exists(pid: i32) -> bool {
    status(pid, "State").is_ok_and(|state| !state.starts_with('Z'))
}

/// Waits until this process has ended.
pub(crate) async fn ends(pid: i32) -> Result<()> {
    let what = format!("the end of process {pid}");
    wait::until(&what, DEADLINE, async || Ok((!exists(pid)).then_some(()))).await
}

/// Sends a signal directly, not through containerd and the shim.
pub(crate) fn kill(pid: i32, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(pid).context("0 is not a process id")?;
    kill_process(pid, signal).with_context(|| format!("cannot send a signal to {pid:?}"))
}
