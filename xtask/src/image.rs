//! `cargo xtask image`: builds the component and the program that packs it, and runs that. The program is a package of its
//! own, k8s/image, so that `up` and `test` do not compile what only an image needs.

use crate::{cargo, command, component, workspace};
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What `image` takes.
#[derive(clap::Args)]
#[command(
    after_help = "SOURCE_DATE_EPOCH is the time that the image bears, in seconds since 1970 \
                        (default: 0, so that the same source gives the same image)."
)]
pub(crate) struct Options {
    /// Where to write it (default: target/image)
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// Builds what is not up to date and writes the image.
pub(crate) fn run(options: Options) -> Result<()> {
    let output = match options.output {
        Some(output) => output,
        None => workspace::images()?,
    };
    pack(&output)
}

/// The same into this directory.
pub(crate) fn pack(output: &Path) -> Result<()> {
    component::run()?;
    let mut build = cargo::native("build")?;
    build.args(["--bin", "visits-image"]);
    command::run(build)?;
    let mut pack = Command::new(workspace::target()?.join("release/visits-image"));
    pack.arg(workspace::root().join("spin.toml")).arg(output);
    command::run(pack)
}
