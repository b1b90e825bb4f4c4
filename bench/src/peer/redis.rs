//! Redis with a sync of its log before each response.

use crate::volume;
use anyhow::{Context, Result};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use visits_support::programs;

/// Returns Redis.
pub(super) fn always(address: SocketAddr, directory: &Path) -> Result<Command> {
    let found = programs::all_found(&["redis-benchmark", "redis-cli"]);
    let server = programs::find(&["redis-server"]).filter(|_| found);
    let server = server.context("Redis is missing (on Debian: apt-get install redis-server)")?;
    let mut command = Command::new(server);
    command
        .args(["--bind", &address.ip().to_string()])
        .args(["--port", &address.port().to_string()])
        .args([
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
            "--save",
            "",
        ])
        .arg("--dir")
        .arg(volume::of(directory));
    Ok(command)
}
