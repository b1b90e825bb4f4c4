//! Calls of cargo. Every native call selects the whole workspace, whichever part of it is built: cargo unites the
//! features of the selected packages, so a build of the host alone would compile wasmtime with other features than the
//! tests use, and thus a second time.

use crate::setup;
use crate::workspace::{self, GUEST_PROFILE, GUEST_TARGET, PROFILE, TOOLBOX_PROFILE};
use anyhow::Result;
use std::path::PathBuf;
use std::process::Command;

/// The environment variable that names the packed toolbox to the shim's build script.
const TOOLBOX: &str = "PREOPEN_TOOLBOX";

/// Returns `cargo SUBCOMMAND --locked`, run at the repository's top.
pub(crate) fn command(subcommand: &str) -> Result<Command> {
    // The cargo that runs this command, or the first on the PATH.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.arg(subcommand).current_dir(workspace::root());
    // Absolute, because the current directory changes.
    command.env("CARGO_TARGET_DIR", workspace::target()?);
    // `cargo run` describes xtask in these. A build script that reads them (ring's) would run again, and everything above
    // it compile again, whenever a build through xtask follows one by cargo alone.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    if subcommand != "fmt" {
        command.arg("--locked");
    }
    Ok(command)
}

/// Returns the same for the whole workspace, natively. The shim is left out if it cannot be linked.
pub(crate) fn native(subcommand: &str) -> Result<Command> {
    native_with(PROFILE, subcommand)
}

fn native_with(profile: &str, subcommand: &str) -> Result<Command> {
    let mut command = command(subcommand)?;
    command.args(["--profile", profile, "--workspace"]);
    // Set for every subcommand: cargo builds the shim again whenever the variable changes.
    let toolbox = workspace::packed_toolbox()?;
    if toolbox.is_file() {
        command.env(TOOLBOX, toolbox);
    }
    if !setup::shim_links() {
        command.args(["--exclude", "containerd-shim-preopen"]);
    }
    Ok(command)
}

/// Returns the build of these native programs.
pub(crate) fn programs(names: &[&str]) -> Result<Command> {
    programs_with(PROFILE, names)
}

/// Returns the build of these native programs with another profile than usual.
pub(crate) fn programs_with(profile: &str, names: &[&str]) -> Result<Command> {
    let mut command = native_with(profile, "build")?;
    command.args(names.iter().flat_map(|name| ["--bin", name]));
    Ok(command)
}

/// Returns the build of the host command.
pub(crate) fn host() -> Result<Command> {
    programs(&["preopen"])
}

/// Returns the build of the shim, with the toolbox as it was packed last (see [`crate::toolbox`]).
pub(crate) fn shim() -> Result<Command> {
    programs(&["containerd-shim-preopen-v1"])
}

/// Returns `cargo SUBCOMMAND` for these guests and the target they run on.
pub(crate) fn guests(subcommand: &str, packages: &[&str]) -> Result<Command> {
    wasm(subcommand, GUEST_PROFILE, packages)
}

/// Returns `cargo SUBCOMMAND` for the toolbox.
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
        // Panic messages contain the paths of source files, and those of dependencies lie in the builder's home. This
        // flag makes the component the same for every builder. (Flags in RUSTFLAGS would replace it.)
        let flag = format!("--remap-path-prefix={}=cargo", home.display());
        command.arg("--config");
        command.arg(format!("target.{GUEST_TARGET}.rustflags=[{flag:?}]"));
    }
    Ok(command)
}

/// Returns the directory in which cargo keeps the sources of dependencies.
fn home() -> Option<PathBuf> {
    let set = std::env::var_os("CARGO_HOME").filter(|home| !home.is_empty());
    set.map(PathBuf::from)
        .or_else(|| Some(std::env::home_dir()?.join(".cargo")))
}
