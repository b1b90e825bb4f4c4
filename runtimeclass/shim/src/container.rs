//! What happens in a process of its own: making, starting and removing containers with libcontainer, and, in what that
//! forks, the container's processes themselves. One thread, no environment, its request on standard input.
//!
//! - `create`: from a bundle to a process that waits to be started
//! - `prepare`: the component's machine code, found before the container is entered
//! - `code`: machine code, found in the node's cache or compiled into it
//! - `compile`: machine code that is not there yet, made by a process without rights
//! - `exec`: a second process in a container that runs
//! - `program`: which program an exec means: native, a WASI command, or one of the toolbox
//! - `toolbox`: the programs that this shim brings for containers without any
//! - `executor`: what a container's process does: become a native program, serve a component, run a command
//! - `keyring`: the keys of a container's processes
//! - `label`: labels of SELinux and profiles of AppArmor
//! - `syscalls`: which system calls a process may make that runs or compiles WebAssembly
//! - `capabilities`: what executing a program takes from a process, for one that executes nothing
//! - `gate`: a process waits for the one that made it
//! - `console`: a terminal on its way from the container to the server
//! - `inside`: files of a container or an image, opened from outside
//! - `home`: the home directory of a process's user
//! - `nss`: how names are looked up in a container's process
//! - `refuse`: what is not supported
//! - `spec`: the bundle's specification, made plain for libcontainer
//! - `holder`: a container's cgroup on version 2, made before any of its processes
//! - `devices`, `bpf`: which devices a container may use, on cgroup version 2
//! - `memory_limit`: the container's memory limit, where the host inside can see it change
//! - `update`: new limits for a container that runs
//! - `making`: that somebody makes a container now
//! - `delete`: what is left of a container, removed

mod bpf;
mod capabilities;
mod code;
mod compile;
mod console;
mod create;
mod delete;
mod devices;
mod exec;
mod executor;
mod gate;
mod holder;
mod home;
mod inside;
mod keyring;
mod label;
mod making;
mod memory_limit;
mod nss;
mod prepare;
mod program;
mod refuse;
mod spec;
mod syscalls;
mod toolbox;
mod update;

pub(crate) use delete::delete;

use crate::request::{Place, Request, Response};
use anyhow::{Context, Result};
use libcontainer::container::Container;
use rustix::fs::Mode;
use rustix::process::{Signal, set_parent_process_death_signal};
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;

/// Does what the request on standard input asks. The arguments only tell people who look at the process list.
pub(crate) fn main(arguments: &[OsString]) -> ExitCode {
    let done = match arguments.first() {
        Some(role) if role == compile::ROLE => compile::main(&arguments[1..]),
        _ => said_aside().and_then(|_said| answer()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn answer() -> Result<()> {
    end_with_parent()?;
    // The server's is stricter than what a root file system's directories and links are made with.
    rustix::process::umask(Mode::from_raw_mode(0o022));
    keyring::leave()?;
    nss::fix()?;
    let mut text = Vec::new();
    std::io::stdin()
        .read_to_end(&mut text)
        .context("read the request")?;
    let response = match serde_json::from_slice(&text).context("read the request")? {
        Request::Create(request) => Response {
            pid: Some(create::create(&request)?),
        },
        Request::Start(place) => {
            start(&place)?;
            Response::default()
        }
        Request::Exec(request) => Response {
            pid: Some(exec::exec(&request)?),
        },
        Request::Update(request) => {
            update::update(&request)?;
            Response::default()
        }
        Request::Delete(place) => {
            delete(&place)?;
            Response::default()
        }
    };
    let answer = serde_json::to_vec(&response)?;
    std::io::stdout()
        .write_all(&answer)
        .context("answer the request")
}

/// Ends this process when the one that started it ends: a container that a dead server asked for would be made after
/// containerd has cleaned up. What is forked from here does not inherit that.
fn end_with_parent() -> Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL)).context("end with the process that asked")
}

/// Has the errors of libcontainer and the host written to what standard error is now, until the guard is dropped. The
/// errors that libcontainer returns do not tell what they were about. Standard error itself becomes the container's
/// in the container's process, which closes this one when it starts to run. On this thread only: the host installs
/// a log of its own for the process.
fn said_aside() -> Result<tracing::subscriber::DefaultGuard> {
    let aside = File::from(std::io::stderr().as_fd().try_clone_to_owned()?);
    // What libcontainer warns of is every container's.
    let filter = Targets::new()
        .with_default(LevelFilter::ERROR)
        .with_target("preopen_host", LevelFilter::WARN);
    let lines = tracing_subscriber::fmt::layer()
        .without_time()
        .with_level(false)
        .with_target(false)
        .with_ansi(false)
        .with_writer(aside);
    let subscriber = tracing_subscriber::registry().with(filter).with(lines);
    Ok(tracing::subscriber::set_default(subscriber))
}

fn start(place: &Place) -> Result<()> {
    let mut container = Container::load(place.container()).context("load the container")?;
    container.start().context("start the container")
}
