//! The first process of the namespaces: furnishes them, starts the program and reaps whatever loses its parent.

use anyhow::{Context, Result, ensure};
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};
use rustix::process::{Pid, WaitOptions, WaitStatus, wait};
use std::ffi::OsString;
use std::process::{Command, ExitCode};

/// Where programs keep state, each with a temporary file system of its own. What the machine has there is hidden.
const FRESH: [&str; 3] = ["/run", "/var/lib", "/var/cache"];

/// Where temporary files go, so that they vanish too.
const TEMPORARY: &str = "/run/tmp";

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
