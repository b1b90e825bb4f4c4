//! A native server: what the counter would cost without WebAssembly.

use crate::volume;
use anyhow::Result;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use visits_support::environment;

/// Returns the server that only says hello.
pub(super) fn hello(address: SocketAddr, directory: &Path) -> Result<Command> {
    server("hello", address, directory)
}

/// Returns the server with the counter's protocol and batches.
pub(super) fn visits(address: SocketAddr, directory: &Path) -> Result<Command> {
    server("visits", address, directory)
}

/// Returns the server that writes and syncs a file for each visit.
pub(super) fn fsync(address: SocketAddr, directory: &Path) -> Result<Command> {
    server("fsync", address, directory)
}

fn server(mode: &str, address: SocketAddr, directory: &Path) -> Result<Command> {
    let mut command = Command::new(environment::NATIVE_PEER.path()?);
    command
        .args([mode, &address.to_string()])
        .arg(volume::of(directory));
    Ok(command)
}
