//! `cargo xtask mutants`: changes the code in many small ways with cargo-mutants, one at a time, and fails if no test notices
//! one of them. `.cargo/mutants.toml` names the files, and the changes that no test can notice, with the reasons.

use crate::installed::Program;
use crate::workspace;
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
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
    /// What is changed [default: everything]
    #[arg(value_enum)]
    what: Option<Part>,
    /// Change only what matches this regular expression, such as a file or a function
    #[arg(long, value_name = "REGEX")]
    only: Option<String>,
    /// Do not start anew, but try again what no test noticed in the last run
    #[arg(long)]
    again: bool,
}

/// The code that is changed, and the tests that must notice.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Part {
    /// The counting protocol
    Protocol,
    /// When the host replaces an instance
    Watch,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Protocol => "protocol",
            Self::Watch => "watch",
        }
    }

    fn package(self) -> &'static str {
        match self {
            Self::Protocol => "visits",
            Self::Watch => "preopen-host",
        }
    }

    /// Returns the arguments of libtest that select the tests that take seconds. Most changes fail one of them.
    fn quick(self) -> &'static [&'static str] {
        match self {
            Self::Protocol => &["protocol", "--skip", "exhaustive", "--skip", "omissions"],
            Self::Watch => &["watch"],
        }
    }

    /// Returns the same for all tests, which the other changes meet, if there are more.
    fn full(self) -> Option<&'static [&'static str]> {
        match self {
            Self::Protocol => Some(&["protocol"]),
            Self::Watch => None,
        }
    }
}

/// Tries all changes.
pub(crate) fn run(options: &Options) -> Result<()> {
    let program = Program {
        package: "cargo-mutants",
        version: VERSION,
        name: "cargo-mutants",
        features: None,
        duration: "three minutes",
    };
    let program = program.install()?;
    let parts = options
        .what
        .map_or(Part::value_variants().to_vec(), |what| vec![what]);
    let mut unnoticed = Vec::new();
    for part in parts {
        if !try_part(part, options, &program)? {
            unnoticed.push(part.name());
        }
    }
    if !unnoticed.is_empty() {
        bail!(
            "no test notices the changes above ({}): add a test, or list them in .cargo/mutants.toml with the reason",
            unnoticed.join(", ")
        );
    }
    Ok(())
}

/// Tries the changes of one part on the quick tests, and those that pass them on all. Returns whether a test noticed each.
fn try_part(part: Part, options: &Options, program: &Path) -> Result<bool> {
    let full = part.full();
    if !options.again || full.is_none() {
        eprintln!("==> {}: every change, on the quick tests", part.name());
        let mut quick = mutants(program, part, options, QUICK)?;
        if options.again {
            quick.arg("--iterate");
        }
        quick.args(["--", "--lib", "--"]).args(part.quick());
        quick.env("VISITS_SEEDS", FEW_SEEDS);
        quick.env("VISITS_SHRINK", "0");
        if passed(quick)? {
            return Ok(true);
        }
    }
    let Some(tests) = full else {
        return Ok(false);
    };
    eprintln!(
        "==> {}: the changes that no quick test noticed, on all tests",
        part.name()
    );
    let mut full = mutants(program, part, options, FULL)?;
    full.args(["--iterate", "--profile", workspace::PROFILE]);
    full.args(["--", "--lib", "--"]).args(tests);
    passed(full)
}

/// Returns the command that tries the changes. It ends with the arguments of `cargo test`.
fn mutants(program: &Path, part: Part, options: &Options, timeout: &str) -> Result<Command> {
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let output = workspace::target()?.join("mutants").join(part.name());
    std::fs::create_dir_all(&output)
        .with_context(|| format!("cannot create {}", output.display()))?;
    let mut mutants = Command::new(program);
    mutants
        .current_dir(workspace::root())
        .args(["mutants", "--package", part.package(), "--no-shuffle"])
        .args(["--jobs", &jobs.to_string(), "--timeout", timeout])
        .arg("--output")
        .arg(output);
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
