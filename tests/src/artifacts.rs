//! Where the built host and components are. `cargo xtask test` builds them and names them in environment
//! variables, so that `cargo test` alone never runs against a stale build without saying so.

use anyhow::{Context, Result, ensure};
use std::path::PathBuf;

/// The host command.
pub fn preopen() -> Result<PathBuf> {
    named_by("PREOPEN_BIN")
}

/// The counter.
pub fn visits_wasm() -> Result<PathBuf> {
    named_by("VISITS_WASM")
}

/// The component that misbehaves on request.
pub fn probe_wasm() -> Result<PathBuf> {
    named_by("PROBE_WASM")
}

/// The least a component can do.
pub fn hello_wasm() -> Result<PathBuf> {
    named_by("HELLO_WASM")
}

fn named_by(variable: &str) -> Result<PathBuf> {
    let path = std::env::var_os(variable)
        .map(PathBuf::from)
        .with_context(|| {
            format!("{variable} is not set: run `cargo xtask test`, which builds it and sets it")
        })?;
    ensure!(
        path.is_absolute() && path.is_file(),
        "{variable}={} is not an absolute path to a file: run `cargo xtask test`",
        path.display()
    );
    Ok(path)
}
