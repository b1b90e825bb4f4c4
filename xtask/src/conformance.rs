//! `cargo xtask conformance`: runs test suites that others wrote, with runc and then with preopen under the same conditions,
//! and writes both lists and their difference to docs/conformance.md.
//!
//! - [`suite`]: what a suite is
//! - [`outcome`]: the outcomes of its tests
//! - [`reports`]: reads the reports that the suites write
//! - [`node`]: a containerd of its own for one run of a suite
//! - [`critest`], [`client`], [`cri`], [`stress`]: the suites that run on such a node
//! - [`kubernetes`]: the suite that runs on a cluster
//! - [`benchmark`]: critest's measurement of starts and stops
//! - [`older`]: runs the suites on older versions
//! - [`mod@run`]: one run of a suite with one runtime
//! - [`watch`]: runs a suite, shows its progress and keeps its output
//! - [`results`], [`reasons`]: what is committed: the outcomes, and why tests fail
//! - [`difference`]: compares the outcomes with both runtimes
//! - [`page`]: writes docs/conformance.md
//! - [`gate`]: the part that each run of the project's tests includes
//!
//! A run fails if a test passes with runc and fails with preopen without a committed reason.

mod benchmark;
mod client;
mod cri;
mod critest;
mod difference;
mod gate;
mod kubernetes;
mod node;
mod older;
mod outcome;
mod page;
mod reasons;
mod reports;
mod results;
mod run;
mod stress;
mod suite;
mod watch;

pub(crate) use gate::{build_critest, compare_critest};

use anyhow::{Context, Result, bail};
use difference::Difference;
use reasons::Reasons;
use results::Results;
use std::process::ExitCode;
use suite::{Runtime, Suite};
use visits_support::process::is_root;

/// All suites, in the order in which they run.
const SUITES: &[&dyn Suite] = &[
    &critest::Critest,
    &client::Client,
    &cri::Cri,
    &stress::Stress,
    &kubernetes::Kubernetes,
];

/// The options of `conformance`.
#[derive(clap::Args)]
#[command(
    after_help = "Suites: critest, containerd-client, containerd-cri, containerd-stress, kubernetes. Without names, all run.

Environment:
  NODE_BIN_DIR  a directory with containerd, runc, crictl and the CNI plugins, to use instead of building them. The
                results are kept by containerd's version.
  KUBERNETES_BIN_DIR, KUBERNETES_TESTS_BIN_DIR
                directories with another version of Kubernetes, and with its e2e.test, ginkgo, agnhost, nonewprivs and
                manifests/agnhost/localhost.*"
)]
pub(crate) struct Options {
    /// The suites to run
    suites: Vec<String>,
    /// Run with this runtime alone, and compare with the last results of the other
    #[arg(long, value_enum)]
    runtime: Option<Runtime>,
    /// Run only tests whose names match this regular expression, and keep no results
    #[arg(long, value_name = "REGEX")]
    only: Option<String>,
    /// Test Kubernetes 1.35 and containerd 1.7, and keep the results by their versions
    #[arg(long, conflicts_with = "benchmark")]
    older: bool,
    /// Build nothing, and use the programs of the last run
    #[arg(long)]
    built: bool,
    /// Measure how long pods and containers take to start and stop, by critest's benchmark, and run no suite
    #[arg(long, conflicts_with_all = ["suites", "runtime", "only", "render"])]
    benchmark: bool,
    /// Write docs/conformance.md from the results that are there, and run nothing
    #[arg(long)]
    render: bool,
}

/// Runs the suites. The exit code is 0 only if no test fails with preopen alone, aside from those with a reason.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let suites = selected(&options.suites)?;
    if !options.render {
        if !is_root() {
            bail!("the suites start containers, which needs root on Linux");
        }
        if options.older {
            let kubernetes = suites.iter().any(|suite| suite.name() == kubernetes::NAME);
            older::replace_process(kubernetes)?;
        }
        watch::catch_interrupts()?;
        if options.benchmark {
            benchmark::run(options.built)?;
            page::write()?;
            print!("{}", benchmark::section()?);
            return Ok(ExitCode::SUCCESS);
        }
        for suite in &suites {
            run_suite(*suite, options)?;
        }
    }
    if options.only.is_some() {
        return Ok(ExitCode::SUCCESS);
    }
    page::write()?;
    let reasons = Reasons::read()?;
    let mut unexplained = 0;
    for results in Results::all()? {
        let difference = Difference::of(&results, &reasons);
        print!("{difference}");
        if suites.iter().any(|suite| suite.name() == results.suite) {
            unexplained += difference.unexplained().count();
        }
    }
    Ok(match unexplained {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

fn selected(names: &[String]) -> Result<Vec<&'static dyn Suite>> {
    if names.is_empty() {
        return Ok(SUITES.to_vec());
    }
    let find = |name: &String| {
        let found = SUITES.iter().find(|suite| suite.name() == name);
        found.copied().with_context(|| {
            let all: Vec<_> = SUITES.iter().map(|suite| suite.name()).collect();
            format!("{name}: no such suite; there are {}", all.join(", "))
        })
    };
    names.iter().map(find).collect()
}

fn run_suite(suite: &dyn Suite, options: &Options) -> Result<()> {
    let name = suite.name();
    let versions = suite
        .prepare(options.built)
        .with_context(|| format!("cannot prepare {name}"))?;
    let runtimes = Runtime::BOTH.into_iter();
    for runtime in runtimes.filter(|runtime| options.runtime.is_none_or(|only| only == *runtime)) {
        let outcomes = run::once(suite, runtime, options.only.as_deref(), 1)?;
        if options.only.is_some() {
            for (test, outcome) in &outcomes {
                if *outcome != outcome::Outcome::Skipped {
                    println!("    {outcome} {test}");
                }
            }
        } else {
            results::keep(name, &versions, runtime, outcomes)?;
        }
    }
    Ok(())
}
