//! `cargo xtask test`: everything that proves the project, in one run that goes on after a failure. `cargo xtask check`
//! is the short run for the time between two edits.
//!
//! A run is a list of typed steps. It is complete before the first step starts, so the first lines show every step with
//! its duration, and what is skipped.
//!
//! - [`plan`]: steps, what they need, and the first lines
//! - [`steps`]: the steps of each kind of tests
//! - [`suites`]: the suites in tests/
//! - [`session`]: the state that the steps share, such as the environment of the tests
//! - [`report`], [`libtest`]: runs the steps and counts the tests
//! - [`durations`]: how long each step takes
//! - [`kills`], [`disks`]: the tests of kills and of failing disks, as commands of their own
//! - [`node`], [`debian`]: the containerd that suites run on
//!
//! The order makes a failure appear early: formatting takes a second, the builds are needed by the tests, and the lints,
//! which check every dependency once more, come last.

mod debian;
pub(crate) mod disks;
mod durations;
pub(crate) mod kills;
mod libtest;
mod node;
mod plan;
mod report;
mod session;
mod steps;
mod suites;

pub(crate) use session::{Session, create_private};

use anyhow::Result;
use clap::ValueEnum;
use durations::Durations;
use plan::Plan;
use std::process::ExitCode;
use steps::{cluster, containerd, critest, foreign, host, lint};
use visits_support::environment::Environment;

/// The suites with steps of their own. All others run with those of the host.
const NAMED_SUITES: [&str; 7] = [
    host::HOST,
    steps::disks::SUITE,
    host::BROWSER_SUITE,
    containerd::SUITES[0],
    containerd::SUITES[1],
    cluster::SUITE,
    cluster::MANIFESTS,
];

/// The options of `test`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The kind of tests to run
    #[arg(value_enum, default_value_t = Kind::All)]
    kind: Kind,
    /// Print the steps and what is skipped, and run nothing
    #[arg(long)]
    plan: bool,
    #[command(flatten)]
    foreign: foreign::Foreign,
}

/// The kinds of tests.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Everything
    All,
    /// Tests inside the crates, and the examples in their documentation
    Unit,
    /// The real host over TCP, on real directories: every suite in tests/ except those below
    Host,
    /// The shim under a real containerd, and its installer
    Containerd,
    /// The page in a real browser
    Browser,
    /// The whole on a real Kubernetes
    Cluster,
    /// Formatting, clippy, shell scripts, the documentation's build and the dependencies' licenses and sources
    Lint,
}

/// Runs the steps of a kind. The exit code is 0 only if a test passed and nothing failed.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let plan = of(options.kind, &options.foreign)?;
    if options.plan {
        print!("{}", plan.front(&Durations::load()?));
        return Ok(ExitCode::SUCCESS);
    }
    start(plan, &Environment::default())
}

/// Runs the checks that need neither root nor the network, and nothing but Rust.
pub(crate) fn check() -> Result<ExitCode> {
    let mut plan = Plan::default();
    lint::format(&mut plan);
    lint::clippy(&mut plan);
    plan.tests("unit, the quick ones", &[], |session| {
        session.cargo_test(&["--lib", "--bin", "xtask"])
    });
    start(plan, &Environment::default())
}

/// Returns the plan of a kind.
fn of(kind: Kind, foreign: &foreign::Foreign) -> Result<Plan> {
    let is = |one| kind == one || kind == Kind::All;
    let mut plan = Plan::default();
    if is(Kind::Lint) {
        lint::format(&mut plan);
    }
    let shim = steps::shim_library(&mut plan);
    let built = match kind {
        Kind::Unit | Kind::Lint => Vec::new(),
        // A foreign cluster has the shim already, and its suite does not use the host.
        Kind::Cluster if foreign.kubeconfig.is_some() => steps::guests(&mut plan),
        Kind::All | Kind::Containerd | Kind::Cluster => steps::builds(&mut plan, shim),
        Kind::Host | Kind::Browser => steps::builds(&mut plan, false),
    };
    if is(Kind::Unit) {
        steps::unit(&mut plan);
    }
    if is(Kind::Host) || is(Kind::Containerd) {
        host::other_sdks(&mut plan);
    }
    if is(Kind::Host) || is(Kind::Containerd) || is(Kind::Cluster) {
        steps::judge(&mut plan);
    }
    if is(Kind::Host) {
        host::plan(&mut plan, &built, other_suites()?);
        steps::disks::plan(&mut plan, &built);
    }
    if is(Kind::Containerd) {
        let node = containerd::plan(&mut plan, &built);
        if let Some(node) = node {
            critest::plan(&mut plan, &node);
        }
    }
    if is(Kind::Browser) {
        host::browser(&mut plan, &built);
    }
    if is(Kind::Cluster) {
        match foreign.kubeconfig {
            Some(_) => foreign::plan(&mut plan, &built, foreign),
            None => cluster::plan(&mut plan, &built),
        }
    }
    if is(Kind::Lint) {
        lint::clippy(&mut plan);
        lint::others(&mut plan);
    }
    Ok(plan)
}

/// Returns the suites that have no steps of their own.
fn other_suites() -> Result<Vec<String>> {
    let mut suites = suites::names()?;
    suites.retain(|suite| !NAMED_SUITES.contains(&suite.as_str()));
    Ok(suites)
}

/// Prints the first lines, and runs the plan with these variables.
fn start(plan: Plan, environment: &Environment) -> Result<ExitCode> {
    let mut durations = Durations::load()?;
    println!("{}", plan.front(&durations));
    let mut session = Session::new()?;
    session.extend(environment);
    Ok(report::run(plan, &mut session, &mut durations))
}
