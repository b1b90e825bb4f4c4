//! `cargo xtask mutants`: changes the code in many small ways with cargo-mutants, one at a time, and fails if no test notices
//! one of them. `.cargo/mutants.toml` names the files, and the changes that no test can notice, with the reasons.

use crate::installed::Program;
use crate::test::Session;
use crate::{cargo, command, component, sdks, workspace};
use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use visits_support::environment;

/// The version of cargo-mutants that is built. Another one may make other changes.
const VERSION: &str = "27.1.0";

/// The components that the suite of the host runs.
const GUESTS: [&str; 2] = ["probe", "hello"];

/// How many seeds each random test runs for the quick tests.
const FEW_SEEDS: &str = "60";

/// The longest run of the tests, in seconds. A change may make one of them endless.
const QUICK: &str = "30";
const FULL: &str = "300";
const HOST: &str = "90";

/// Settings of cargo for the host: a changed one is built in seconds instead of minutes, on the same libraries. A number that
/// leaves its range is noticed.
const QUICK_BUILD: [&str; 4] = [
    "package.preopen-host.codegen-units=16",
    "package.preopen-host.opt-level=0",
    "package.preopen-host.overflow-checks=true",
    "incremental=true",
];

/// The tests of the host as a whole that notice something about its instances and its end.
const HOST_TESTS: &[&str] = &[
    "crowd::",
    "descriptors::",
    "drain::",
    "guest::",
    "instances::",
    "limits::",
    "memory::",
    "misdeeds::",
    "slow::",
    "wasi_0_2::",
];

/// The tests of what components and the log print, and of why a host ends.
const OUTPUT_TESTS: &[&str] = &["input::", "misdeeds::", "unread::"];

/// The tests of syncs, which need root.
const SYNC_TESTS: &[&str] = &["mounts::syncs::"];

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
    /// The host's instances, their threads, and its end
    Host,
    /// What components and the log print
    Output,
    /// Syncs of directories (root)
    Syncs,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Protocol => "protocol",
            Self::Watch => "watch",
            Self::Host => "host",
            Self::Output => "output",
            Self::Syncs => "syncs",
        }
    }

    fn package(self) -> &'static str {
        match self {
            Self::Protocol => "visits",
            _ => "preopen-host",
        }
    }

    /// Returns a regular expression for the beginning of a file's path.
    fn files(self) -> &'static str {
        match self {
            Self::Protocol => "^src/protocol/",
            Self::Watch => "^runtimeclass/host/src/watch",
            Self::Host => "^runtimeclass/host/src/(guest|server)",
            Self::Output => "^runtimeclass/host/src/stdio",
            Self::Syncs => "^runtimeclass/host/src/directory_sync",
        }
    }

    /// Tries the changes. Returns whether a test noticed each.
    fn try_all(self, options: &Options, program: &Path) -> Result<bool> {
        let mutants = |timeout: &str| mutants(program, self, options, timeout);
        match self {
            Self::Protocol => protocol(options, mutants),
            Self::Watch => watch(options, mutants),
            Self::Host => host(mutants(HOST)?, HOST_TESTS),
            Self::Output => host(mutants(HOST)?, OUTPUT_TESTS),
            Self::Syncs => host(mutants(HOST)?, SYNC_TESTS),
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
        eprintln!("==> {}: every change", part.name());
        if !part.try_all(options, &program)? {
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

/// Tries the changes of the protocol on the tests that take seconds, and those that pass them on all.
fn protocol(options: &Options, mutants: impl Fn(&str) -> Result<Command>) -> Result<bool> {
    if !options.again {
        let mut quick = mutants(QUICK)?;
        quick.args(["--jobs", &jobs(), "--", "--lib", "--", "protocol"]);
        quick.args(["--skip", "exhaustive", "--skip", "omissions"]);
        quick.env("VISITS_SEEDS", FEW_SEEDS);
        quick.env("VISITS_SHRINK", "0");
        if passed(quick)? {
            return Ok(true);
        }
        eprintln!("==> protocol: the changes that no quick test noticed, on all tests");
    }
    let mut full = mutants(FULL)?;
    if !options.again {
        full.arg("--iterate");
    }
    full.args(["--jobs", &jobs(), "--profile", workspace::PROFILE]);
    full.args(["--", "--lib", "--", "protocol"]);
    passed(full)
}

/// Tries the changes of the watch on its unit tests, and those that pass them on the suite of the host.
fn watch(options: &Options, mutants: impl Fn(&str) -> Result<Command>) -> Result<bool> {
    let mut full = mutants(HOST)?;
    if !options.again {
        let mut quick = mutants(QUICK)?;
        build_quickly(&mut quick)?;
        quick.args(["--", "--lib", "--", "watch"]);
        if passed(quick)? {
            return Ok(true);
        }
        eprintln!("==> watch: the changes that no unit test noticed, on the suite of the host");
        full.arg("--iterate");
    }
    host(full, HOST_TESTS)
}

/// Tries the changes of the host on tests that run it as a program, and measure time: one change at a time.
fn host(mut mutants: Command, tests: &[&str]) -> Result<bool> {
    component::run()?;
    command::run(cargo::guests("build", &GUESTS)?)?;
    sdks::build()?;
    let session = Session::new()?;
    session.apply(&mut mutants);
    build_quickly(&mut mutants)?;
    mutants
        .env(environment::HOST_SUITE.name(), host_suite(&session)?)
        .args(["--features", "suite", "--", "--test", "suite", "--"])
        .args(tests)
        .arg("--include-ignored");
    passed(mutants)
}

/// Lets cargo-mutants build the host in one directory for all runs, so that the libraries are built once.
fn build_quickly(mutants: &mut Command) -> Result<()> {
    let profile = workspace::PROFILE;
    let settings = QUICK_BUILD.map(|it| format!("--cargo-arg=--config=profile.{profile}.{it}"));
    mutants
        .env(
            "CARGO_TARGET_DIR",
            workspace::target()?.join("mutants/target"),
        )
        .args(["--profile", profile])
        .args(settings);
    Ok(())
}

/// Builds the suite of the host, and returns its path.
fn host_suite(session: &Session) -> Result<PathBuf> {
    let mut build = session.cargo_test(&["--test", "host", "--no-run"])?;
    build.arg("--message-format=json-render-diagnostics");
    let output = build.stderr(Stdio::inherit()).output();
    let output = output.context("cannot run cargo")?;
    ensure!(
        output.status.success(),
        "cannot build the suite of the host"
    );
    let messages = String::from_utf8(output.stdout).context("cannot read cargo's messages")?;
    let mut built = messages.lines().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let is_suite = message["target"]["name"] == "host";
        message["executable"]
            .as_str()
            .filter(|_| is_suite)
            .map(PathBuf::from)
    });
    built.next().context("cargo names no suite of the host")
}

/// Returns how many changes are tried at a time, if the tests measure no time.
fn jobs() -> String {
    std::thread::available_parallelism()
        .map_or(1, usize::from)
        .to_string()
}

/// Returns the command that tries the changes. Its last arguments are missing: what is built, and the tests.
fn mutants(program: &Path, part: Part, options: &Options, timeout: &str) -> Result<Command> {
    let output = workspace::target()?.join("mutants").join(part.name());
    std::fs::create_dir_all(&output)
        .with_context(|| format!("cannot create {}", output.display()))?;
    let only = options.only.as_deref().unwrap_or_default();
    let mut mutants = Command::new(program);
    mutants
        .current_dir(workspace::root())
        .args(["mutants", "--package", part.package(), "--no-shuffle"])
        .args(["--re", &format!("{}.*({only})", part.files())])
        .args(["--timeout", timeout])
        .args(options.again.then_some("--iterate"))
        .arg("--output")
        .arg(output);
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
