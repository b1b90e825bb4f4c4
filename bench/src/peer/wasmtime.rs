//! The same components on `wasmtime serve`, of the version that our host uses.

use crate::volume;
use anyhow::Result;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use visits_support::environment;
use visits_tests::app::GUEST_VOLUME;
use visits_tests::artifacts;

/// Returns wasmtime with the hello-world component.
pub(super) fn hello(address: SocketAddr, directory: &Path) -> Result<Command> {
    serve(&artifacts::hello_wasm()?, address, directory)
}

/// Returns wasmtime with the counter.
pub(super) fn visits(address: SocketAddr, directory: &Path) -> Result<Command> {
    serve(&artifacts::visits_wasm()?, address, directory)
}

/// Returns wasmtime with the handler that loses visits.
pub(super) fn naive(address: SocketAddr, directory: &Path) -> Result<Command> {
    serve(&environment::NAIVE.path()?, address, directory)
}

fn serve(component: &Path, address: SocketAddr, directory: &Path) -> Result<Command> {
    let mut mapping = volume::of(directory).into_os_string();
    mapping.push(format!("::{GUEST_VOLUME}"));
    let mut command = Command::new(environment::WASMTIME.path()?);
    command
        // The command-line interfaces: environment, directories and stdout, as our host gives them.
        .args(["serve", "-Scli", "--dir"])
        .arg(mapping)
        .args(["--addr", &address.to_string()])
        .arg(component);
    Ok(command)
}
