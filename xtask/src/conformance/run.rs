//! One run of a suite with one runtime.

use super::outcome::{Counts, Outcomes};
use super::suite::{Run, Runtime, Suite};
use crate::workspace;
use anyhow::{Context, Result};

/// Runs a suite with one runtime. critest tries a test that fails up to `attempts` times.
pub(super) fn once(
    suite: &dyn Suite,
    runtime: Runtime,
    only: Option<&str>,
    attempts: u32,
) -> Result<Outcomes> {
    let name = format!("{} with {}", suite.name(), runtime.name());
    let directory = workspace::target()?.join("conformance").join(format!(
        "{}-{}",
        suite.name(),
        runtime.name()
    ));
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    println!(
        "==> {name}: output and reports in {}",
        workspace::short(&directory)
    );
    let run = Run {
        runtime,
        directory: &directory,
        only,
        attempts,
    };
    let outcomes = suite.run(&run).with_context(|| name.clone())?;
    println!("==> {name}: {}", Counts::of(&outcomes));
    Ok(outcomes)
}
