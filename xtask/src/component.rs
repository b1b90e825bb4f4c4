//! `cargo xtask component`: builds the counter and puts it where `spin.toml` expects it.

use crate::workspace::{self, GUEST_TARGET};
use crate::{cargo, command};
use anyhow::{Result, bail};
use std::path::Path;
use std::process::Command;
use visits_support::files;

/// Builds the component and copies it to `visits.wasm` at the repository's top. The copy is atomic, because a host may
/// be starting from that file at the same time.
pub(crate) fn run() -> Result<()> {
    require_target()?;
    command::run(cargo::guests("build", &["visits"])?)?;
    files::copy(
        &workspace::guest("visits")?,
        &workspace::root().join("visits.wasm"),
    )
}

/// Returns an error that names the remedy if the guests' target is not installed. Without this check, cargo would fail
/// with "can't find crate for `core`". (The Makefile checks for a C linker, without which xtask itself cannot be built.)
pub(crate) fn require_target() -> Result<()> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let libraries = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", GUEST_TARGET])
        .current_dir(workspace::root())
        .output();
    // If rustc cannot be run, cargo reports that.
    let missing = libraries.is_ok_and(|output| {
        let directory = String::from_utf8_lossy(&output.stdout);
        output.status.success() && !Path::new(directory.trim()).is_dir()
    });
    if missing {
        bail!(
            "the Rust target {GUEST_TARGET} is not installed: run `rustup toolchain install` at the repository's top"
        );
    }
    Ok(())
}
