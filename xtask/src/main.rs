//! `cargo xtask COMMAND`: everything that a developer or CI runs, in Rust instead of shell scripts. Each target of the
//! Makefile is one of these commands.
//!
//! - [`workspace`]: paths of the repository and of everything that is built
//! - [`cargo`]: calls of cargo, with options that let all of them share the compiled crates
//! - [`command`]: runs any program
//! - [`cache`]: builds that are kept for all clones on a machine
//! - [`installed`]: programs of crates.io, built once for all clones
//! - [`output`]: the directory to write to, as an option
//! - [`go`]: programs of a Kubernetes node and of a cluster, which the tests run
//! - [`sdks`]: components of other SDKs, which the tests run
//! - [`test_cluster`]: a cluster of the tests' own
//! - [`component`], [`toolbox`], [`up`], [`mod@image`], [`dist`], [`cluster`], [`mod@test`], [`doc`], [`audit`],
//!   [`manifests`], [`screenshots`], [`setup`], [`soak`], [`mod@fuzz`], [`mutants`], [`mod@bench`], [`mod@conformance`]: one
//!   command each
//! - `tidy`: rules about the repository, as tests

mod audit;
mod bench;
mod cache;
mod cargo;
mod cluster;
mod command;
mod component;
mod conformance;
mod dist;
mod doc;
mod fuzz;
mod go;
mod image;
mod installed;
mod manifests;
mod mutants;
mod output;
mod screenshots;
mod sdks;
mod setup;
mod soak;
mod test;
mod test_cluster;
#[cfg(test)]
mod tidy;
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
    /// Build the shim's tools for `kubectl exec` into target/toolbox.xz
    Toolbox,
    /// Build components of other SDKs for the tests into target/sdks/
    Sdks,
    /// Build everything and serve the counter
    Up(up::Options),
    /// Build the counter's OCI image and its wasm artifact into target/image/
    Image(image::Options),
    /// Build the release for nodes, which is the shim and its installer, into target/dist/
    Dist(dist::Options),
    /// Run a Kubernetes of one node with the counter on it
    Cluster(cluster::Options),
    /// Run the tests: all of them, or one kind
    Test(test::Options),
    /// Kill hosts, shims, containerd or kubelet under load, and check that no visit is lost
    Kills(test::kills::Options),
    /// Check formatting, clippy and the unit tests: no root, no network, within a minute once everything is compiled
    Check,
    /// Have the Kubernetes manifests judged by kube-score, checkov and kubernetes-validate
    Manifests,
    /// Run the counter's simulator on new seeds for as long as you like
    Soak(soak::Options),
    /// Cut the power of the counter's disk a hundred times on each file system, and let disks fail (root)
    Disks(test::disks::Options),
    /// Run the fuzz targets, and send mutated requests to the host
    Fuzz(fuzz::Options),
    /// Change the counting protocol in many small ways, and find the changes that no test notices
    Mutants(mutants::Options),
    /// Build the documentation of all crates
    Doc,
    /// Check the dependencies, including for known vulnerabilities (needs the network)
    Audit,
    /// Take the README's pictures of the page into docs/
    Screenshots,
    /// Measure the counter beside its peers, such as `wasmtime serve` and a native server
    Bench(bench::Options),
    /// Run test suites that others wrote, with runc and with preopen, and write the difference to docs/conformance.md
    Conformance(conformance::Options),
    /// Install the packages that the tests need beside Rust (Debian, as root)
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
        Command::Kills(options) => return test::kills::run(&options),
        Command::Disks(options) => return test::disks::run(&options),
        Command::Check => return test::check(),
        Command::Manifests => return manifests::run(),
        Command::Soak(options) => soak::run(&options)?,
        Command::Fuzz(options) => fuzz::run(&options)?,
        Command::Mutants(options) => mutants::run(&options)?,
        Command::Doc => doc::run()?,
        Command::Audit => audit::run()?,
        Command::Screenshots => screenshots::run()?,
        Command::Bench(options) => bench::run(&options)?,
        Command::Conformance(options) => return conformance::run(&options),
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
