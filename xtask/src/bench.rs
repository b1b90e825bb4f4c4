//! `cargo xtask bench`: builds what is measured, and runs `bench/` on it.

use crate::test::Session;
use crate::{cargo, command, component, workspace};
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::process::Command;

/// The options of `bench`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Options of the benchmark, which `cargo xtask bench --help` lists after a first run
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Builds everything and measures.
pub(crate) fn run(options: &Options) -> Result<()> {
    component::run()?;
    command::run(cargo::guests("build", &["hello"])?)?;
    command::run(cargo::host()?)?;
    let session = Session::new()?;
    // On the repository's disk: a temporary directory may be in memory, where a sync costs nothing.
    let volumes = workspace::target()?.join("bench");
    std::fs::create_dir_all(&volumes)
        .with_context(|| format!("cannot create {}", volumes.display()))?;
    command::run(cargo::programs(&["visits-bench"])?)?;
    let mut bench = Command::new(workspace::program("visits-bench")?);
    bench.args(&options.arguments).env("TMPDIR", volumes);
    session.apply(&mut bench);
    command::run(bench)
}
