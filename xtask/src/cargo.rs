//! Calls of cargo. All native ones select the whole workspace in release, whichever part of it they build: cargo
//! unites features over the selected packages, so a build of the host alone would compile wasmtime once more,
//! with other features, than the tests do.

use crate::setup;
use crate::workspace::{self, GUEST_PROFILE, GUEST_TARGET, TOOLBOX_PROFILE};
use anyhow::Result;
use std::path::PathBuf;
use std::process::Command;

/// The environment variable that names the packed toolbox to the shim's build script.
const TOOLBOX: &str = "PREOPEN_TOOLBOX";

/// `cargo SUBCOMMAND --locked`, run at the repository's top.
pub(crate) fn command(subcommand: &str) -> Result<Command> {
    // The cargo that runs this command, else the one on the PATH.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.arg(subcommand).current_dir(workspace::root());
    // Made absolute, for the current directory changes.
    command.env("CARGO_TARGET_DIR", workspace::target()?);
    if subcommand != "fmt" {
        command.arg("--locked");
    }
    Ok(command)
}

/// The same on the whole workspace, natively; without the shim where it cannot be linked.
pub(crate) fn native(subcommand: &str) -> Result<Command> {
    let mut command = command(subcommand)?;
    command.args(["--release", "--workspace"]);
    // Set for every subcommand: if one call set it and the next did not, each would build the shim again.
    let toolbox = workspace::packed_toolbox()?;
    if toolbox.is_file() {
        command.env(TOOLBOX, toolbox);
    }
    if !setup::shim_links() {
        command.args(["--exclude", "containerd-shim-preopen"]);
    }
    Ok(command)
}

/// The same on these guests, for the target they run on.
pub(crate) fn guests(subcommand: &str, packages: &[&str]) -> Result<Command> {
    wasm(subcommand, GUEST_PROFILE, packages)
}

/// The same on the toolbox.
pub(crate) fn toolbox(subcommand: &str) -> Result<Command> {
    wasm(subcommand, TOOLBOX_PROFILE, &["preopen-toolbox"])
}

fn wasm(subcommand: &str, profile: &str, packages: &[&str]) -> Result<Command> {
    let mut command = command(subcommand)?;
    command.args(["--target", GUEST_TARGET, "--profile", profile]);
    for package in packages {
        command.args(["--package", package]);
    }
    if let Some(home) = home() {
        // Panics name source files, and those of dependencies lie in the home of whoever builds: without this, the
        // same source would give each of them another component. (Flags in RUSTFLAGS take this one's place.)
        let flag = format!("--remap-path-prefix={}=cargo", home.display());
        command.arg("--config");
        command.arg(format!("target.{GUEST_TARGET}.rustflags=[{flag:?}]"));
    }
    Ok(command)
}

/// Where cargo keeps the sources of dependencies.
fn home() -> Option<PathBuf> {
    let set = std::env::var_os("CARGO_HOME").filter(|home| !home.is_empty());
    set.map(PathBuf::from)
        .or_else(|| Some(std::env::home_dir()?.join(".cargo")))
}

/// The build of the host command.
pub(crate) fn host() -> Result<Command> {
    let mut command = native("build")?;
    command.args(["--bin", "preopen"]);
    Ok(command)
}

/// The build of the program that packs the toolbox.
pub(crate) fn packer() -> Result<Command> {
    let mut command = native("build")?;
    command.args(["--bin", "preopen-toolbox-pack"]);
    Ok(command)
}

/// The build of the shim, with the toolbox as it was packed last (see [`crate::toolbox`]).
pub(crate) fn shim() -> Result<Command> {
    let mut command = native("build")?;
    command.args(["--bin", "containerd-shim-preopen-v1"]);
    Ok(command)
}
