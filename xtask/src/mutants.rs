//! `cargo xtask mutants`: changes the counting protocol in many small ways with cargo-mutants, one at a time, and fails if no
//! test notices one of them. `.cargo/mutants.toml` lists the changes that no test can notice, and why.
//!
//! Most changes fail a quick test within seconds. Only those that pass meet all tests of the protocol, which take a minute.

use crate::installed::Program;
use crate::workspace;
use anyhow::{Context, Result, bail};
use clap::Args;
use std::path::Path;
use std::process::Command;

/// The version of cargo-mutants that is built. Another one may make other changes.
const VERSION: &str = "27.1.0";

/// How many seeds each random test runs for the quick tests.
const FEW_SEEDS: &str = "60";

/// The longest run of the tests, in seconds. A change may make one of them endless.
const QUICK: &str = "30";
const FULL: &str = "300";

/// Options of `mutants`.
#[derive(Args)]
pub(crate) struct Options {
    /// Change only what matches this regular expression, such as a file or a function
    #[arg(long, value_name = "REGEX")]
    only: Option<String>,
    /// Do not start anew, but try again what no test noticed in the last run
    #[arg(long)]
    again: bool,
}

/// Tries all changes on the quick tests, and those that pass them on all.
pub(crate) fn run(options: &Options) -> Result<()> {
    let program = Program {
        package: "cargo-mutants",
        version: VERSION,
        name: "cargo-mutants",
        features: None,
        duration: "three minutes",
    };
    let program = program.install()?;
    if !options.again {
        eprintln!("==> every change, on the quick tests");
        let mut quick = mutants(&program, options, QUICK)?;
        quick.args(["--", "--lib", "--", "protocol"]);
        quick.args(["--skip", "exhaustive", "--skip", "omissions"]);
        quick.env("VISITS_SEEDS", FEW_SEEDS);
        quick.env("VISITS_SHRINK", "0");
        if passed(quick)? {
            return Ok(());
        }
    }
    eprintln!("==> the changes that no quick test noticed, on all tests of the protocol");
    let mut full = mutants(&program, options, FULL)?;
    full.args(["--iterate", "--profile", workspace::PROFILE]);
    full.args(["--", "--lib", "--", "protocol"]);
    if !passed(full)? {
        bail!(
            "no test of the protocol notices the changes above: add a test, or list them in .cargo/mutants.toml with the reason"
        );
    }
    Ok(())
}

/// Returns the command that tries the changes. It ends with the arguments of `cargo test`.
fn mutants(program: &Path, options: &Options, timeout: &str) -> Result<Command> {
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let mut mutants = Command::new(program);
    mutants
        .current_dir(workspace::root())
        .args(["mutants", "--package", "visits", "--no-shuffle"])
        .args(["--jobs", &jobs.to_string()])
        .args(["--timeout", timeout, "--output"])
        .arg(workspace::target()?);
    if let Some(only) = &options.only {
        mutants.args(["--re", only]);
    }
    Ok(mutants)
}

/// Runs cargo-mutants. Returns whether every change was noticed.
///
/// # Errors
/// Fails if it could not try them.
fn passed(mut mutants: Command) -> Result<bool> {
    let status = mutants.status().context("cannot run cargo-mutants")?;
    match status.code() {
        // An endless test is a noticed change.
        Some(0 | 3) => Ok(true),
        Some(2) => Ok(false),
        _ => bail!("cargo-mutants failed: {status}"),
    }
}
