//! The part that each run of the project's tests includes: critest with preopen, compared with the committed results.

use super::critest::Critest;
use super::outcome::{Outcome, Outcomes};
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
    });
    let committed = committed.with_context(|| {
        format!(
            "there are no results of critest {} on {}: run `make conformance ARGS=critest`",
            versions.suite, versions.platform
        )
    })?;
    let runc = committed.with(Runtime::Runc);
    let runc = &runc.context("there are no results with runc")?.tests;
    let preopen = run::once(&Critest, Runtime::Preopen, None, ATTEMPTS)?;
    let failed = failed(runc, &preopen, &Reasons::read()?);
    if !failed.is_empty() {
        bail!(
            "pass with runc and fail with preopen: {}",
            failed.join("; ")
        );
    }
    Ok(())
}

/// Returns the tests that pass with runc and not with preopen, aside from those with a reason.
fn failed<'a>(runc: &'a Outcomes, preopen: &Outcomes, reasons: &Reasons) -> Vec<&'a str> {
    let passed = |outcome: Option<&Outcome>| outcome == Some(&Outcome::Passed);
    let failed = runc.iter().filter(|(test, outcome)| {
        passed(Some(outcome))
            && !passed(preopen.get(*test))
            && reasons.preopen(Critest.name(), test).is_none()
    });
    failed.map(|(test, _)| test.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_is_missing_or_fails_is_named_if_it_passes_with_runc() {
        use Outcome::{Failed, Passed};
        let outcomes = |tests: &[(&str, Outcome)]| -> Outcomes {
            tests
                .iter()
                .map(|(name, end)| ((*name).into(), *end))
                .collect()
        };
        let runc = outcomes(&[("a", Passed), ("b", Passed), ("c", Failed), ("d", Passed)]);
        let preopen = outcomes(&[("a", Passed), ("b", Failed), ("c", Failed)]);
        assert_eq!(failed(&runc, &preopen, &Reasons::default()), ["b", "d"]);
        let reasons = toml::from_str("[preopen.critest]\nb = \"because\"").expect("well formed");
        assert_eq!(failed(&runc, &preopen, &reasons), ["d"]);
    }
}
