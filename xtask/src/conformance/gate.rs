//! The part that each run of the project's tests includes: critest with preopen, compared with the committed results.

use super::critest::Critest;
use super::difference::Difference;
use super::reasons::Reasons;
use super::results::Results;
use super::run;
use super::suite::{Runtime, Suite};
use anyhow::{Context, Result, bail};

/// How often a test that fails is tried. Other work on the machine may have disturbed it.
const ATTEMPTS: u32 = 3;

/// Builds critest, and the node that it runs on.
pub(crate) fn build_critest() -> Result<()> {
    Critest.prepare(false).map(drop)
}

/// Runs critest with preopen, and keeps no results.
///
/// # Errors
/// Returns the tests that fail, if they pass with runc in the committed results.
pub(crate) fn compare_critest() -> Result<()> {
    let versions = Critest.prepare(true)?;
    let committed = Results::all()?.into_iter().find(|results| {
        results.suite == Critest.name()
            && results.version == versions.suite
            && results.platform == versions.platform
            && results.with(Runtime::Runc).is_some()
    });
    let mut results = committed.with_context(|| {
        format!(
            "there are no results of critest {} with runc on {}: run `make conformance ARGS=critest`",
            versions.suite, versions.platform
        )
    })?;
    let tests = run::once(&Critest, Runtime::Preopen, None, ATTEMPTS)?;
    results.put(Runtime::Preopen, tests);
    let difference = Difference::of(&results, &Reasons::read()?);
    let failed: Vec<_> = difference.unexplained().collect();
    if !failed.is_empty() {
        bail!(
            "pass with runc and fail with preopen: {}",
            failed.join("; ")
        );
    }
    Ok(())
}
