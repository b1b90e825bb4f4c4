//! `cargo xtask COMMAND`: everything a developer or CI runs, in Rust instead of shell scripts. The Makefile is a list
//! of these commands and nothing more.
//!
//! - [`workspace`]: where things are: the repository, what is built and where it ends up
//! - [`cargo`]: calls of cargo with the options that let all of them share one set of compiled crates
//! - [`command`]: runs any program
//! - [`cache`]: what is kept for every clone on a machine
//! - [`go`]: programs of a Kubernetes node and of a cluster, which the tests run
//! - [`sdks`]: components of other SDKs, which the tests run
//! - [`component`], [`toolbox`], [`up`], [`mod@image`], [`dist`], [`cluster`], [`mod@test`], [`audit`], [`screenshots`], [`setup`], [`mod@bench`]: one
//!   command each

mod audit;
mod bench;
mod cache;
mod cargo;
mod cluster;
mod command;
mod component;
mod dist;
mod go;
mod image;
mod screenshots;
mod sdks;
mod setup;
mod test;
mod toolbox;
mod up;
mod workspace;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Build, run and test the visit counter.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the component into ./visits.wasm
    Component,
    /// Build the tools that the shim brings for `kubectl exec`, into target/toolbox.xz
    Toolbox,
    /// Build components of other SDKs for the tests, into target/sdks/
    Sdks,
    /// Build everything and serve the counter
    Up(up::Options),
    /// Build the counter's OCI image and its wasm artifact, into target/image/
    Image(image::Options),
    /// Build what is released for nodes, the shim and its installer, into target/dist/
    Dist(dist::Options),
    /// Keep a Kubernetes of one node with the counter on it
    Cluster(cluster::Options),
    /// Run the tests: all of them, or one kind
    Test(test::Options),
    /// Check the dependencies, for known vulnerabilities too (network)
    Audit,
    /// Take the README's screenshots of the page, into docs/
    Screenshots,
    /// Measure visits a second, beside a hello-world component
    Bench(bench::Options),
    /// Install what the tests need beside Rust (Debian, as root)
    Setup,
}

fn run() -> Result<ExitCode> {
    match Arguments::parse().command {
        Command::Component => component::run()?,
        Command::Toolbox => toolbox::run()?,
        Command::Sdks => sdks::build()?,
        Command::Up(options) => up::run(options)?,
        Command::Image(options) => image::run(options)?,
        Command::Dist(options) => dist::run(options)?,
        Command::Cluster(options) => cluster::run(&options)?,
        Command::Test(options) => return test::run(&options),
        Command::Audit => audit::run()?,
        Command::Screenshots => screenshots::run()?,
        Command::Bench(options) => bench::run(&options)?,
        Command::Setup => setup::run()?,
    }
    Ok(ExitCode::SUCCESS)
}

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
