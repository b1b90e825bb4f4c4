//! `cargo xtask audit`: what is known about the dependencies, checked with cargo-deny by the rules of deny.toml.
//!
//! The checks of bans, licenses and sources need no network and are part of `cargo xtask test lint`. Advisories come
//! from a database on GitHub that changes every day, so a failure there is not caused by a change here: that check is
//! a command of its own, which CI also runs on a schedule.

use crate::{cache, cargo, command, workspace};
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::process::Command;

/// The version that is built. With another one a check may fail that passed before.
const VERSION: &str = "0.20.2";

/// The checks that depend on this repository alone.
const OFFLINE: [&str; 3] = ["bans", "licenses", "sources"];

/// Runs all checks, that of the advisories included.
pub(crate) fn run() -> Result<()> {
    let program = install()?;
    command::run(check(&program, &["all"]))
}

/// Runs the checks that need no network.
pub(crate) fn run_offline() -> Result<()> {
    let program = install()?;
    command::run(check(&program, &OFFLINE))
}

/// Builds cargo-deny from source if that has not been done on this machine, and returns its path.
pub(crate) fn install() -> Result<PathBuf> {
    let directory = cache::directory()?
        .join("cargo")
        .join(format!("cargo-deny-{VERSION}"));
    let program = directory.join("bin/cargo-deny");
    if program.is_file() {
        return Ok(program);
    }
    eprintln!("building cargo-deny {VERSION} from source: some three minutes the first time");
    let partial = directory.with_extension(std::process::id().to_string());
    let mut install = cargo::command("install")?;
    install
        .args(["--quiet", "--no-track", "--version", VERSION, "--root"])
        .arg(&partial)
        .arg("cargo-deny")
        // Else what it is built from would stay in this repository's target directory.
        .env_remove("CARGO_TARGET_DIR");
    let placed = command::run(install).and_then(|()| {
        match std::fs::rename(&partial, &directory) {
            // Another run was faster.
            Err(_) if program.is_file() => Ok(()),
            renamed => renamed.with_context(|| format!("rename to {}", directory.display())),
        }
    });
    let _ = std::fs::remove_dir_all(&partial);
    placed.map(|()| program)
}

/// Returns the command that makes these checks of every package in the workspace.
fn check(program: &std::path::Path, checks: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(workspace::root())
        .args(["--locked", "--workspace", "check", "--hide-inclusion-graph"])
        .args(checks);
    command
}
