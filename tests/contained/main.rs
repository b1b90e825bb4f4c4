//! `contained PROGRAM ARGUMENTS`: runs a program, as root on Linux, in namespaces that work like a throw-away machine.
//!
//! The program has its own mounts, network, processes and host name, and an empty `/run`, `/var/lib` and `/var/cache`. When
//! it ends, the kernel kills every process in the namespaces and removes every mount and interface. So a containerd inside
//! needs no clean-up, and does not conflict with one that the machine runs. Only cgroups outlive the program. It inherits no
//! descriptors but the standard streams.
//!
//! This is a program of its own, not a part of the suites that use it, for two reasons. A process with threads, such as a
//! test, cannot move into namespaces as a whole. And the first process of a PID namespace must reap all orphans, but a
//! process that waits for its own children cannot do that.

#[cfg(target_os = "linux")]
mod init;

use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::process::ExitCode;

/// The argument with which the program runs itself inside the namespaces.
const INSIDE: &str = "--inside";

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

#[cfg(target_os = "linux")]
fn run() -> Result<ExitCode> {
    let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if arguments.first().is_some_and(|first| first == INSIDE) {
        arguments.remove(0);
        return init::run(&arguments);
    }
    if arguments.is_empty() {
        bail!("usage: contained PROGRAM [ARGUMENT]...");
    }
    use std::os::unix::process::CommandExt;
    visits_support::process::keep_standard_streams()?;
    let error = std::process::Command::new("unshare")
        .args(["--mount", "--propagation", "private", "--net", "--ipc"])
        .args(["--uts", "--pid", "--fork", "--mount-proc", "--kill-child"])
        .arg(std::env::current_exe().context("cannot find this program")?)
        .arg(INSIDE)
        .args(arguments)
        .exec();
    Err(error).context("cannot run unshare (is util-linux installed?)")
}

#[cfg(not(target_os = "linux"))]
fn run() -> Result<ExitCode> {
    let _ = (
        INSIDE,
        Vec::<OsString>::new(),
        std::env::current_exe().context("")?,
    );
    bail!("cannot create namespaces on this system: contained needs Linux")
}
