//! `contained PROGRAM ARGUMENTS`: runs a program, as root on Linux, as if on a machine of its own that is thrown away.
//!
//! It has its own mounts, network, processes and name, and an empty `/run`, `/var/lib` and `/var/cache`. When it ends,
//! however it ends, the kernel kills every process in it and forgets every mount and interface. A containerd in it
//! needs no other care, and cannot meet one that the machine runs already. Only cgroups outlive it.
//!
//! It is a program and not a part of the suites that use it, for two reasons: a process with threads, as every test
//! is, cannot move into namespaces as a whole; and the first process of a process namespace has to reap all orphans,
//! which one that waits for its own children cannot do beside.

#[cfg(target_os = "linux")]
mod init;

use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::process::ExitCode;

/// The argument by which the program calls itself, once it is inside.
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
    let error = std::process::Command::new("unshare")
        .args(["--mount", "--propagation", "private", "--net", "--ipc"])
        .args(["--uts", "--pid", "--fork", "--mount-proc", "--kill-child"])
        .arg(std::env::current_exe().context("find this program")?)
        .arg(INSIDE)
        .args(arguments)
        .exec();
    Err(error).context("run unshare, which is part of util-linux")
}

#[cfg(not(target_os = "linux"))]
fn run() -> Result<ExitCode> {
    let _ = (
        INSIDE,
        Vec::<OsString>::new(),
        std::env::current_exe().context("")?,
    );
    bail!("namespaces are a thing of Linux")
}
