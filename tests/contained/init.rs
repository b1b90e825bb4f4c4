//! The first process of the namespaces. It mounts file systems, starts the program and reaps all orphans.

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait};
use std::ffi::OsString;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};
use visits_support::mount::tmpfs;
use visits_support::process::reap_until;
use visits_support::{cgroup, environment};

/// The directories of programs' state. Each gets a temporary file system, which hides the machine's directory.
const STATE_DIRECTORIES: [&str; 3] = ["/run", "/var/lib", "/var/cache"];

/// The directory of temporary files, which vanishes with its file system.
const TEMPORARY: &str = "/run/tmp";

/// The time that killed processes may take to end.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) fn run(arguments: &[OsString]) -> Result<ExitCode> {
    for directory in STATE_DIRECTORIES {
        tmpfs(directory)?;
    }
    std::fs::create_dir(TEMPORARY).with_context(|| format!("cannot create {TEMPORARY}"))?;
    loopback_up()?;
    let (program, arguments) = arguments.split_first().context("the program is missing")?;
    let child = Command::new(program)
        .args(arguments)
        .env("TMPDIR", TEMPORARY)
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let status = reap_until(Pid::from_child(&child))?;
    end_all();
    let code = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code,
        (None, signal) => {
            let signal = signal.unwrap_or_default();
            eprintln!("error: signal {signal} ended {}", program.display());
            128 + signal
        }
    };
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)))
}

fn loopback_up() -> Result<()> {
    let status = Command::new("ip")
        .args(["link", "set", "lo", "up"])
        .status()
        .context("cannot run ip (is iproute2 installed?)")?;
    ensure!(
        status.success(),
        "cannot set the interface lo up: ip failed ({status})"
    );
    Ok(())
}

/// Kills all other processes. The kernel does that when this process ends, but it would wait forever for processes in a frozen
/// cgroup. A runtime leaves such processes if it is killed at the wrong moment.
fn end_all() {
    let deadline = Instant::now() + KILL_TIMEOUT;
    while others().is_some_and(|others| !others.is_empty()) && Instant::now() < deadline {
        for pid in others().unwrap_or_default() {
            // Fails if the process has already ended.
            let _ = kill_process(pid, Signal::KILL);
        }
        if let Some(name) = environment::CONTAINERD_CGROUP.get() {
            for hierarchy in cgroup::hierarchies() {
                cgroup::thaw(&hierarchy.join(&name));
            }
        }
        while matches!(wait(WaitOptions::NOHANG), Ok(Some(_))) {}
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Returns the other processes in these namespaces.
fn others() -> Option<Vec<Pid>> {
    let entries = std::fs::read_dir("/proc").ok()?.flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    Some(
        pids.filter(|pid| *pid != 1)
            .filter_map(Pid::from_raw)
            .collect(),
    )
}
