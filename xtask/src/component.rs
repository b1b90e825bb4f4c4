//! `cargo xtask component`: builds the counter and puts it where `spin.toml` expects it.

use crate::workspace::{self, GUEST_TARGET};
use crate::{cargo, command, workspace::copy_atomically};
use anyhow::{Result, bail};
use std::path::Path;
use std::process::Command;

/// Builds the component and copies it to `visits.wasm` at the repository's top. The copy is atomic, for a host may
/// be starting from that file at this moment.
pub(crate) fn run() -> Result<()> {
    require_target()?;
    command::run(cargo::guests("build", &["visits"])?)?;
    copy_atomically(
        &workspace::guest("visits")?,
        &workspace::root().join("visits.wasm"),
    )
}

/// Says how to get the guests' target before cargo fails with "can't find crate for `core`". (A missing C linker
/// is the Makefile's to tell: without one this very program cannot be linked.)
pub(crate) fn require_target() -> Result<()> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let libraries = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", GUEST_TARGET])
        .current_dir(workspace::root())
        .output();
    // A rustc that cannot be asked is cargo's to complain about.
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
