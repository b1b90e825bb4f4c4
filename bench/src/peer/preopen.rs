//! Components on our host.

use anyhow::Result;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use visits_support::environment;
use visits_tests::{artifacts, write_manifest};

/// Returns the host with the hello-world component.
pub(super) fn hello(address: SocketAddr, directory: &Path) -> Result<Command> {
    host(
        &artifacts::preopen()?,
        &artifacts::hello_wasm()?,
        address,
        directory,
    )
}

/// Returns the host with the counter.
pub(super) fn visits(address: SocketAddr, directory: &Path) -> Result<Command> {
    host(
        &artifacts::preopen()?,
        &artifacts::visits_wasm()?,
        address,
        directory,
    )
}

/// Returns the host with the handler that loses visits.
pub(super) fn naive(address: SocketAddr, directory: &Path) -> Result<Command> {
    host(
        &artifacts::preopen()?,
        &environment::NAIVE.path()?,
        address,
        directory,
    )
}

/// Returns the host with the counter behind spin-sdk's macro.
pub(super) fn sdk(address: SocketAddr, directory: &Path) -> Result<Command> {
    host(
        &artifacts::preopen()?,
        &environment::SDK_COUNTER.path()?,
        address,
        directory,
    )
}

/// Returns a host and a counter of another build.
pub(super) fn other(
    program: Option<&Path>,
    counter: Option<&Path>,
    address: SocketAddr,
    directory: &Path,
) -> Result<Command> {
    let program = program.map_or_else(artifacts::preopen, |path| Ok(std::path::absolute(path)?))?;
    let counter = counter.map_or_else(artifacts::visits_wasm, |path| {
        Ok(std::path::absolute(path)?)
    })?;
    host(&program, &counter, address, directory)
}

fn host(
    program: &Path,
    component: &Path,
    address: SocketAddr,
    directory: &Path,
) -> Result<Command> {
    let manifest = write_manifest(directory, component, "")?;
    let mut command = Command::new(program);
    command
        .arg(manifest)
        .args(["--listen", &address.to_string()])
        .arg("--cache-dir")
        .arg(environment::HOST_CACHE.path()?);
    Ok(command)
}
