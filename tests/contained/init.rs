//! The first process of the namespaces: furnishes them, starts the program and reaps whatever loses its parent.

use anyhow::{Context, Result, ensure};
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, wait};
use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

/// Where programs keep state, each with a temporary file system of its own. What the machine has there is hidden.
const FRESH: [&str; 3] = ["/run", "/var/lib", "/var/cache"];

/// Where temporary files go, so that they vanish too.
const TEMPORARY: &str = "/run/tmp";

/// How long killed processes may take to end.
const END: Duration = Duration::from_secs(10);

pub(crate) fn run(arguments: &[OsString]) -> Result<ExitCode> {
    for directory in FRESH {
        mount(
            "tmpfs",
            directory,
            "tmpfs",
            MountFlags::empty(),
            c"mode=0755",
        )
        .with_context(|| format!("mount a temporary file system on {directory}"))?;
    }
    std::fs::create_dir(TEMPORARY).context(TEMPORARY)?;
    loopback_up()?;
    let (program, arguments) = arguments.split_first().context("no program is named")?;
    let child = Command::new(program)
        .args(arguments)
        .env("TMPDIR", TEMPORARY)
        .spawn()
        .with_context(|| format!("start {}", program.display()))?;
    let status = reap_until(Pid::from_child(&child))?;
    end_all();
    let code = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code,
        (None, signal) => {
            let signal = signal.unwrap_or_default();
            eprintln!("error: {} was ended by signal {signal}", program.display());
            128 + signal
        }
    };
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)))
}

fn loopback_up() -> Result<()> {
    let status = Command::new("ip")
        .args(["link", "set", "lo", "up"])
        .status()
        .context("run ip, which is part of iproute2")?;
    ensure!(status.success(), "ip link set lo up: {status}");
    Ok(())
}

/// Ends all other processes. The kernel would do that when this one ends, but for those that are frozen by their cgroup,
/// as a runtime leaves them that was killed at a bad moment: for those it would wait for ever.
fn end_all() {
    let end = Instant::now() + END;
    while others().is_some_and(|others| !others.is_empty()) && Instant::now() < end {
        for pid in others().unwrap_or_default() {
            // One that has ended meanwhile is as good.
            let _ = kill_process(pid, Signal::KILL);
        }
        for hierarchy in ["/sys/fs/cgroup", "/sys/fs/cgroup/freezer"] {
            if let Some(name) = std::env::var_os("CONTAINERD_TEST_CGROUP") {
                thaw(&Path::new(hierarchy).join(name));
            }
        }
        while matches!(wait(WaitOptions::NOHANG), Ok(Some(_))) {}
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The other processes in these namespaces.
fn others() -> Option<Vec<Pid>> {
    let entries = std::fs::read_dir("/proc").ok()?.flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    Some(
        pids.filter(|pid| *pid != 1)
            .filter_map(Pid::from_raw)
            .collect(),
    )
}

/// Lets the processes of a cgroup and of those below it run, in either version.
fn thaw(cgroup: &Path) {
    for (file, state) in [("freezer.state", "THAWED"), ("cgroup.freeze", "0")] {
        let file = cgroup.join(file);
        if file.exists() {
            let _ = std::fs::write(file, state);
        }
    }
    for entry in std::fs::read_dir(cgroup).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            thaw(&entry.path());
        }
    }
}

/// Waits for the end of this process, and of any other that ends before.
fn reap_until(pid: Pid) -> Result<WaitStatus> {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((ended, status))) if ended == pid => return Ok(status),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("wait for the program"),
        }
    }
}
