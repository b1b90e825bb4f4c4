//! The helper: a process of its own that creates, starts, enters and removes containers with libcontainer, and the
//! container's processes that it forks. It has one thread, no environment, and its request on standard input.
//!
//! The requests:
//! - `create`: from a bundle to a process that waits to be started
//! - `create_lock`: a lock that is held while a container is created
//! - `refuse`: the refusal of specifications that are not supported
//! - `propagation`: the propagation of a container's mounts
//! - `users`: the user namespace of a container
//! - `exec`: another process in a container that runs
//! - `update`: new limits for a container that runs
//! - `delete`: the removal of a container
//!
//! A container's process:
//! - `executor`: its work: become a native program, serve a component, run a WASI command
//! - `gate`: its wait for the process that created it
//! - `console`: its terminal, on the way to the server
//!
//! What they use:
//! - `idle`: a process that keeps a cgroup or a namespace in existence
//! - `bundle`: the container's specification and files
//! - `code`: the machine code that a container's processes map
//! - `isolation`: limits of a process beyond libcontainer's
//! - `resources`: the container's cgroup, devices and memory limit

mod bundle;
mod code;
mod console;
mod create;
mod create_lock;
mod delete;
mod exec;
mod executor;
mod gate;
mod idle;
mod isolation;
mod propagation;
mod refuse;
mod resources;
mod update;
mod users;

pub(crate) use delete::{delete, first_process};

use crate::request::{HelperRequest, HelperResponse, Location};
use anyhow::{Context, Result};
use code::compile;
use isolation::{keyring, nss, parent};
use libcontainer::container::Container;
use rustix::fs::Mode;
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;

/// Carries out the request on standard input. Only the compiler reads its arguments; the others are for the process list.
pub(crate) fn main(arguments: &[OsString]) -> ExitCode {
    let done = match arguments.first() {
        Some(role) if role == compile::ROLE => compile::main(&arguments[1..]),
        _ => log_to_stderr().and_then(|_log| respond()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn respond() -> Result<()> {
    parent::end_with_parent()?;
    // The server's umask is too strict for the directories and links of a root file system.
    rustix::process::umask(Mode::from_raw_mode(0o022));
    // containerd's groups are the node's. libcontainer keeps them if the container has no groups of its own.
    rustix::thread::set_thread_groups(&[]).context("cannot leave containerd's groups")?;
    keyring::leave()?;
    nss::fix()?;
    let mut text = Vec::new();
    std::io::stdin()
        .read_to_end(&mut text)
        .context("cannot read the request")?;
    let response = match serde_json::from_slice(&text).context("cannot read the request")? {
        HelperRequest::Create(request) => HelperResponse {
            pid: Some(create::create(&request)?),
        },
        HelperRequest::Start(location) => {
            start(&location)?;
            HelperResponse::default()
        }
        HelperRequest::Exec(request) => HelperResponse {
            pid: Some(exec::exec(&request)?),
        },
        HelperRequest::Update(request) => {
            update::update(&request)?;
            HelperResponse::default()
        }
        HelperRequest::Delete(location) => {
            delete(&location)?;
            HelperResponse::default()
        }
    };
    let response = serde_json::to_vec(&response)?;
    std::io::stdout()
        .write_all(&response)
        .context("cannot write the response")
}

/// Logs the errors of libcontainer and the host to the helper's standard error, until the guard is dropped. The errors
/// that libcontainer returns do not name their subject; those that it logs do.
///
/// The log keeps a descriptor of its own, because standard error becomes the container's in the container's process, which
/// closes this descriptor when it starts to run. The log is this thread's only, because the host installs its own for the
/// process.
fn log_to_stderr() -> Result<tracing::subscriber::DefaultGuard> {
    let stderr = File::from(std::io::stderr().as_fd().try_clone_to_owned()?);
    // libcontainer's warnings are the same for every container.
    let filter = Targets::new()
        .with_default(LevelFilter::ERROR)
        .with_target("preopen_host", LevelFilter::WARN);
    let lines = tracing_subscriber::fmt::layer()
        .without_time()
        .with_level(false)
        .with_target(false)
        .with_ansi(false)
        .with_writer(stderr);
    let subscriber = tracing_subscriber::registry().with(filter).with(lines);
    Ok(tracing::subscriber::set_default(subscriber))
}

fn start(location: &Location) -> Result<()> {
    let mut container =
        Container::load(location.container()).context("cannot load the container")?;
    container.start().context("cannot start the container")
}
