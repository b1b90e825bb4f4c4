//! `cargo xtask audit`: checks the dependencies with cargo-deny, by the rules of deny.toml.
//!
//! The checks of bans, licenses and sources need no network and are part of `cargo xtask test lint`. Advisories come
//! from a database on GitHub that changes every day, so a failure there is not caused by a change here: that check is
//! part of this command alone, which CI also runs on a schedule.

use crate::installed::Program;
use crate::{command, workspace};
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The version that is built. With another one a check may fail that passed before.
const VERSION: &str = "0.20.2";

/// The checks that depend on this repository alone.
const OFFLINE: [&str; 3] = ["bans", "licenses", "sources"];

/// Runs all checks, including that of the advisories.
pub(crate) fn run() -> Result<()> {
    let program = install()?;
    command::run(check(&program, &["all"]))
}

/// Runs the checks that need no network.
pub(crate) fn run_offline() -> Result<()> {
    let program = install()?;
    command::run(check(&program, &OFFLINE))
}

/// Builds cargo-deny from source if no earlier run on this machine has, and returns its path.
pub(crate) fn install() -> Result<PathBuf> {
    let program = Program {
        package: "cargo-deny",
        version: VERSION,
        name: "cargo-deny",
        features: None,
        duration: "some three minutes",
    };
    program.install()
}

/// Returns the command that runs these checks on every package of the workspace.
fn check(program: &Path, checks: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(workspace::root())
        .args(["--locked", "--workspace", "check", "--hide-inclusion-graph"])
        .args(checks);
    command
}
