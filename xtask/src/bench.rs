//! `cargo xtask bench`: builds what is measured, and runs `bench/` on it.

use crate::{cargo, command, component, test::Environment, workspace};
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::process::Command;

/// What `bench` takes.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Options of the benchmark: `cargo xtask bench --help` after a first run lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Builds everything and measures.
pub(crate) fn run(options: &Options) -> Result<()> {
    component::run()?;
    command::run(cargo::guests("build", &["hello"])?)?;
    command::run(cargo::host()?)?;
    let environment = Environment::new()?;
    // Volumes on the disk that the repository is on: a temporary directory in memory would sync for nothing.
    let volumes = workspace::target()?.join("bench");
    std::fs::create_dir_all(&volumes).with_context(|| format!("make {}", volumes.display()))?;
    let mut build = cargo::native("build")?;
    build.args(["--bin", "visits-bench"]);
    command::run(build)?;
    let mut bench = Command::new(workspace::target()?.join("release/visits-bench"));
    bench.args(&options.arguments).env("TMPDIR", volumes);
    environment.apply(&mut bench);
    command::run(bench)
}
