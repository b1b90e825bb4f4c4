//! `cargo xtask soak`: runs the counting protocol's random tests on new seeds until the time is over, or until one fails.

use crate::{cargo, command, workspace};
use anyhow::Result;
use clap::Args;
use std::time::{Duration, Instant};

/// How many seeds of each test run at a time: less than a minute on two cores.
const SEEDS: u64 = 5_000;

/// Options of `soak`.
#[derive(Args)]
pub(crate) struct Options {
    /// For how many minutes
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    /// The first seed; `make test` runs those below 200000
    #[arg(long, default_value_t = 200_000)]
    from: u64,
}

/// Runs range after range of seeds. A failure prints the commands that replay it.
pub(crate) fn run(options: &Options) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(options.minutes * 60);
    let mut from = options.from;
    while Instant::now() < end {
        let to = from + SEEDS;
        println!("seeds {from} to {to} of each test");
        let mut tests = cargo::command("test")?;
        tests.args([
            "--profile",
            workspace::PROFILE,
            "--package",
            "visits",
            "--lib",
            "protocol::tests",
        ]);
        tests.env("VISITS_SEEDS", format!("{from}..{to}"));
        command::run(tests)?;
        from = to;
    }
    Ok(())
}
