//! Processes as the kernel describes them in /proc.

use anyhow::{Context, Result};
use rustix::process::{Pid, kill_process};
use std::path::PathBuf;
use visits_tests::Signal;

/// A line of `/proc/PID/status` without its name: `Uid`, `CapEff`, `Seccomp`.
pub(crate) fn status(pid: i32, name: &str) -> Result<String> {
    let path = format!("/proc/{pid}/status");
    let text = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    Ok(value
        .with_context(|| format!("{path} has no {name}"))?
        .trim()
        .to_owned())
}

/// A process whose executable has this name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Process {
    /// Its id.
    pub(crate) pid: i32,
    /// Its command line.
    pub(crate) line: String,
}

/// All processes there are, but for the kernel's own. Those that end meanwhile are left out.
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

/// The process that has to wait for this one's end: of a container's first process, its shim.
pub(crate) fn parent(pid: i32) -> Result<i32> {
    status(pid, "PPid")?.parse().context("PPid is a number")
}

/// Whether there is such a process that has not ended.
pub(crate) fn exists(pid: i32) -> bool {
    status(pid, "State").is_ok_and(|state| !state.starts_with('Z'))
}

/// Sends a signal past containerd and shim.
pub(crate) fn kill(pid: i32, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(pid).context("0 is no process")?;
    kill_process(pid, signal).with_context(|| format!("send {pid:?} a signal"))
}
