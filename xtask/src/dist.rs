//! `cargo xtask dist`: writes what is released for nodes into target/dist: the shim in an archive named after its
//! platform, its checksum, and the installer that contains both, as a script and as an image. The shim has no symbols.
//! One small program is linked statically, because it runs in an image without a libc.

use crate::output::Output;
use crate::setup::{self, NODE};
use crate::workspace::{self, PROFILE, RELEASE_PROFILE};
use crate::{cargo, command, toolbox};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The shim.
const SHIM: &str = "containerd-shim-preopen-v1";

/// The program that packs.
const PROGRAM: &str = "preopen-dist";

/// The options of `dist`.
#[derive(clap::Args)]
#[command(
    after_help = "SOURCE_DATE_EPOCH sets the files' time stamps, in seconds since 1970 (default: 0)."
)]
pub(crate) struct Options {
    #[command(flatten)]
    output: Output,
}

/// Builds what is not up to date at full speed and writes the release.
pub(crate) fn run(options: Options) -> Result<()> {
    pack(&options.output.or(workspace::dist)?, RELEASE_PROFILE)
}

/// Packs the shim that the tests run and returns the path of the installer's image.
pub(crate) fn pack_for_tests() -> Result<PathBuf> {
    let directory = workspace::dist()?;
    pack(&directory, PROFILE)?;
    Ok(directory.join("preopen-node-oci.tar"))
}

fn pack(output: &Path, profile: &str) -> Result<()> {
    setup::prepare_shim()?;
    let busybox = setup::busybox()
        .with_context(|| format!("static busybox is not installed: {}", NODE.by_hand()))?;
    toolbox::run()?;
    command::run(cargo::programs_with(profile, &[SHIM, PROGRAM])?)?;
    let built = workspace::target()?.join(profile);
    let label = label()?;
    let mut dist = Command::new(built.join(PROGRAM));
    dist.arg("--shim")
        .arg(stripped(&built.join(SHIM))?)
        .arg("--script")
        .arg(workspace::root().join("runtimeclass/installer/preopen-node"))
        .arg("--label")
        .arg(label)
        .arg("--busybox")
        .arg(busybox)
        .arg(output);
    command::run(dist)
}

/// Returns a copy of the shim without the symbols, which are two thirds of its size.
fn stripped(shim: &Path) -> Result<PathBuf> {
    let stripped = shim.with_added_extension("stripped");
    let mut strip = Command::new("strip");
    strip.arg("-o").arg(&stripped).arg(shim);
    command::run(strip)?;
    Ok(stripped)
}

/// Builds the program that labels nodes, with libc linked in. The target is named, because cargo then uses a directory
/// of its own for the other flags. The package is selected alone, because it does not need wasmtime.
fn label() -> Result<PathBuf> {
    const NAME: &str = "preopen-label";
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut build = cargo::command("build")?;
    build
        .args(["--release", "--package", NAME, "--target", &target])
        .env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=+crt-static");
    command::run(build)?;
    Ok(workspace::target()?.join(target).join("release").join(NAME))
}
