//! `conformance-node OPTIONS -- PROGRAM ARGUMENTS`: a node for a test suite that others wrote. `cargo xtask conformance` runs
//! it inside `contained` (see tests/contained).
//!
//! The node has its own cgroups, a network for pods, images that are built here, and a containerd that is started again
//! whenever it ends. The program runs on it, and its exit code becomes the node's.
//!
//! - `cgroups`: cgroups that look like a machine's own
//! - `config`: the files of containerd and of the pods' network
//! - `furnish`: the node's files and programs
//! - `images`: the images that the suites expect
//! - `registry`: a registry on the loopback interface, for suites that pull
//! - `supervisor`: containerd, started again whenever it ends

#[cfg(target_os = "linux")]
mod cgroups;
#[cfg(target_os = "linux")]
mod config;
#[cfg(target_os = "linux")]
mod furnish;
#[cfg(target_os = "linux")]
mod images;
#[cfg(target_os = "linux")]
mod registry;
#[cfg(target_os = "linux")]
mod supervisor;

use anyhow::Result;
use clap::Parser;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

/// A node for a test suite.
#[derive(Parser)]
#[command(name = "conformance-node")]
struct Options {
    /// The name of the cgroup that holds the node, below that of this process
    #[arg(long)]
    cgroup: String,
    /// The runtime of pods that name none: runc or preopen
    #[arg(long)]
    runtime: String,
    /// An image that can be pulled, as KIND=NAME
    #[arg(long)]
    image: Vec<String>,
    /// The directory with the programs of the registry and of the images
    #[arg(long)]
    programs: PathBuf,
    /// The file for containerd's log; without it the program starts its own containerd
    #[arg(long)]
    log: Option<PathBuf>,
    /// Set in the second call, inside the node's cgroups
    #[arg(long)]
    inside: bool,
    /// The program and its arguments
    #[arg(required = true, last = true)]
    program: Vec<OsString>,
}

fn main() -> ExitCode {
    run(&Options::parse()).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

#[cfg(target_os = "linux")]
fn run(options: &Options) -> Result<ExitCode> {
    use anyhow::Context;
    use std::process::Command;
    use visits_support::programs::path_with;

    if !options.inside {
        return cgroups::enter(&options.cgroup);
    }
    cgroups::mount_all()?;
    furnish::furnish(&options.runtime)?;
    let _registry = registry::start(&options.programs)?;
    for image in &options.image {
        registry::push(&options.programs, image)?;
    }
    options.log.as_deref().map(supervisor::start).transpose()?;
    let (program, arguments) = options.program.split_first().context("no program")?;
    let status = Command::new(program)
        .args(arguments)
        .env("PATH", path_with(&[config::binaries()])?)
        .env(registry::TRUSTED, config::certificate())
        .status()
        .with_context(|| format!("cannot start {}", program.display()))?;
    cgroups::thaw();
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(u8::MAX)))
}

#[cfg(not(target_os = "linux"))]
fn run(_: &Options) -> Result<ExitCode> {
    anyhow::bail!("a node needs Linux")
}
