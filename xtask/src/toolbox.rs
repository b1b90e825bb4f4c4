//! `cargo xtask toolbox`: builds the toolbox, compiles it for the nodes and packs the machine code for the shim.

use crate::{cargo, command, component, workspace};
use anyhow::{Context, Result};
use std::process::Command;

/// Builds what is not up to date. Packing takes some seconds, so it is skipped if neither the component nor the packer
/// has changed. The packer leaves an identical file untouched, so the time of the last packing is that of a stamp file.
pub(crate) fn run() -> Result<()> {
    const PACKER: &str = "preopen-toolbox-pack";
    component::require_target()?;
    command::run(cargo::toolbox("build")?)?;
    command::run(cargo::programs(&[PACKER])?)?;
    let component = workspace::toolbox()?;
    let packer = workspace::program(PACKER)?;
    let packed = workspace::packed_toolbox()?;
    let stamp = packed.with_extension("stamp");
    if packed.exists() && workspace::is_newer(&stamp, &[&component, &packer]) {
        return Ok(());
    }
    eprintln!("==> compiling and packing the toolbox");
    let mut pack = Command::new(packer);
    pack.arg(component).arg(packed);
    command::run(pack)?;
    std::fs::write(&stamp, "").with_context(|| format!("cannot write {}", stamp.display()))
}
