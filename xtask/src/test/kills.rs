//! `cargo xtask kills`: the tests of kills at random moments, with more kills than `make test` makes.

use super::steps::{self, cluster, containerd, host};
use super::{Plan, start};
use anyhow::Result;
use clap::ValueEnum;
use std::process::ExitCode;
use visits_support::environment::{self, Environment};

/// The options of `kills`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// What is killed
    #[arg(long, value_enum, default_value_t = What::Host)]
    what: What,
    /// How many kills each test makes
    #[arg(long, default_value_t = 100)]
    times: u32,
    /// The number from which the moments of the kills come, instead of a new one
    #[arg(long)]
    seed: Option<u64>,
}

/// What is killed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// The command `preopen`: one on a directory, and two on one directory
    Host,
    /// The shims of two containers on one directory, which end with them
    Shim,
    /// containerd, while two pods on one directory go on
    Containerd,
    /// kubelet, while a pod goes on, on a cluster that is brought up for this
    Kubelet,
}

/// Builds what the tests need, and runs them.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let mut plan = Plan::default();
    let on_node = options.what != What::Host;
    let shim = on_node && steps::shim_library(&mut plan);
    let built = steps::builds(&mut plan, shim);
    steps::judge(&mut plan);
    match options.what {
        What::Host => host::kills(&mut plan, &built),
        What::Shim => containerd::kills(&mut plan, &built, "shims_are_killed"),
        What::Containerd => containerd::kills(&mut plan, &built, "containerd_is_killed"),
        What::Kubelet => cluster::kills(&mut plan, &built),
    }
    let mut environment = Environment::default();
    environment.set(environment::KILLS, options.times.to_string());
    if let Some(seed) = options.seed {
        environment.set(environment::KILLS_SEED, seed.to_string());
    }
    start(plan, &environment)
}
