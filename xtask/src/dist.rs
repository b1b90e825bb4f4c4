//! `cargo xtask dist`: what is released for nodes, into target/dist: the shim in an archive named for its platform, its
//! checksum, and the installer that carries both, as a script and as an image. The shim is the one that the tests run,
//! without its symbols; one small program is built once more, for it has to run where there is no libc.

use crate::setup::{self, NODE};
use crate::{cargo, command, toolbox, workspace};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What `dist` takes.
#[derive(clap::Args)]
#[command(
    after_help = "SOURCE_DATE_EPOCH is the time that the files bear, in seconds since 1970 (default: 0)."
)]
pub(crate) struct Options {
    /// Where to write it (default: target/dist)
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// Builds what is not up to date and writes it.
pub(crate) fn run(options: Options) -> Result<()> {
    let output = match options.output {
        Some(output) => output,
        None => workspace::dist()?,
    };
    pack(&output)
}

/// The same, here; the installer's image is `preopen-node-oci.tar`.
pub(crate) fn pack(output: &Path) -> Result<()> {
    setup::prepare_shim()?;
    toolbox::run()?;
    let mut build = cargo::shim()?;
    build.args(["--bin", "preopen-dist"]);
    command::run(build)?;
    let label = label()?;
    let mut dist = Command::new(workspace::target()?.join("release/preopen-dist"));
    dist.arg("--shim")
        .arg(stripped()?)
        .arg("--script")
        .arg(workspace::root().join("runtimeclass/installer/preopen-node"))
        .arg("--label")
        .arg(label)
        .arg("--busybox")
        .arg(
            setup::busybox()
                .with_context(|| format!("there is no static busybox: {}", NODE.by_hand()))?,
        )
        .arg(output);
    command::run(dist)
}

/// The shim without what only a debugger reads: two thirds of its size.
fn stripped() -> Result<PathBuf> {
    let stripped = workspace::target()?.join("release/containerd-shim-preopen-v1.stripped");
    let mut strip = Command::new("strip");
    strip.arg("-o").arg(&stripped).arg(workspace::shim()?);
    command::run(strip)?;
    Ok(stripped)
}

/// Builds the program that labels nodes, with libc inside. It goes into a directory of its own, for that is how cargo
/// keeps apart what is built with other flags; and with its own dependencies alone, for wasmtime is none of them.
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
