//! `cargo xtask image`: builds the component and the program that packs it, and runs that. The program is a package of its
//! own, k8s/image, so that `up` and `test` do not compile what only an image needs.

use crate::output::Output;
use crate::{cargo, command, component, workspace};
use anyhow::Result;
use std::path::Path;
use std::process::Command;

/// The program that packs.
pub(crate) const PROGRAM: &str = "visits-image";

/// The options of `image`.
#[derive(clap::Args)]
#[command(
    after_help = "SOURCE_DATE_EPOCH sets the image's time stamps, in seconds since 1970 \
                        (default: 0, so that the same source gives the same image)."
)]
pub(crate) struct Options {
    #[command(flatten)]
    output: Output,
}

/// Builds what is not up to date and writes the image.
pub(crate) fn run(options: Options) -> Result<()> {
    pack(&options.output.or(workspace::images)?)
}

/// Builds what is not up to date and writes the image into this directory.
pub(crate) fn pack(output: &Path) -> Result<()> {
    component::run()?;
    command::run(cargo::programs(&[PROGRAM])?)?;
    let mut pack = Command::new(workspace::program(PROGRAM)?);
    pack.arg(workspace::root().join("spin.toml")).arg(output);
    command::run(pack)
}
