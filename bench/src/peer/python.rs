//! A stand-in for the Python app that the counter replaces: FastAPI on uvicorn, of Debian.

use crate::volume;
use anyhow::{Context, Result, ensure};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use visits_support::environment;

/// Debian's Python, because its packages are not those of another one on the `PATH`.
const PYTHON: &str = "/usr/bin/python3";

/// Returns the app as it was: it never syncs.
pub(super) fn buffered(address: SocketAddr, directory: &Path) -> Result<Command> {
    app("0", address, directory)
}

/// Returns the app with a sync before each response.
pub(super) fn synced(address: SocketAddr, directory: &Path) -> Result<Command> {
    app("1", address, directory)
}

fn app(fsync: &str, address: SocketAddr, directory: &Path) -> Result<Command> {
    let found = Command::new(PYTHON)
        .args(["-c", "import fastapi, uvicorn"])
        .output();
    let found = found.with_context(|| format!("cannot start {PYTHON}"))?;
    ensure!(
        found.status.success(),
        "FastAPI or uvicorn is missing (on Debian: apt-get install python3-fastapi python3-uvicorn)"
    );
    let mut command = Command::new(PYTHON);
    command
        .arg(environment::PYTHON_PEER.path()?)
        .arg(address.to_string())
        .arg(volume::of(directory))
        .env("FSYNC", fsync);
    Ok(command)
}
