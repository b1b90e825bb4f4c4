//! The difference between the runtimes in the results of a suite.

use super::outcome::{Counts, Outcome};
use super::reasons::Reasons;
use super::results::Results;
use super::suite::Runtime;
use std::collections::BTreeSet;
use std::fmt;

/// A test and the reason of its outcome.
pub(crate) struct Explained {
    pub(crate) test: String,
    pub(crate) reason: Option<String>,
}

/// The tests of a suite by how they ended with both runtimes.
pub(crate) struct Difference {
    /// The suite, its version and what it ran on.
    pub(crate) title: String,
    pub(crate) runc: Counts,
    pub(crate) preopen: Counts,
    /// Tests that pass with runc and do not with preopen.
    pub(crate) preopen_fails: Vec<Explained>,
    /// Tests that pass with preopen and do not with runc.
    pub(crate) runc_fails: Vec<Explained>,
    /// Tests that fail with both.
    pub(crate) both_fail: Vec<Explained>,
}

impl Difference {
    pub(crate) fn of(results: &Results, reasons: &Reasons) -> Self {
        let tests = |runtime| results.with(runtime).map(|kept| &kept.tests);
        let (runc, preopen) = (tests(Runtime::Runc), tests(Runtime::Preopen));
        let counts = |tests: Option<_>| tests.map(Counts::of).unwrap_or_default();
        let mut difference = Self {
            title: format!(
                "{} {} on {}",
                results.suite, results.version, results.platform
            ),
            runc: counts(runc),
            preopen: counts(preopen),
            preopen_fails: Vec::new(),
            runc_fails: Vec::new(),
            both_fail: Vec::new(),
        };
        let (Some(runc), Some(preopen)) = (runc, preopen) else {
            return difference;
        };
        let names: BTreeSet<_> = runc.keys().chain(preopen.keys()).collect();
        for test in names {
            let passed = |outcome: Option<&Outcome>| outcome == Some(&Outcome::Passed);
            let (with_runc, with_preopen) = (runc.get(test), preopen.get(test));
            let (list, reason) = match (passed(with_runc), passed(with_preopen)) {
                (true, true) => continue,
                (true, false) => (
                    &mut difference.preopen_fails,
                    reasons.preopen(&results.suite, test),
                ),
                (false, true) => (
                    &mut difference.runc_fails,
                    reasons.both(&results.suite, test),
                ),
                (false, false) => (
                    &mut difference.both_fail,
                    reasons.both(&results.suite, test),
                ),
            };
            list.push(Explained {
                test: test.clone(),
                reason: reason.map(str::to_owned),
            });
        }
        difference
    }

    /// Returns the tests that fail with preopen alone and have no committed reason.
    pub(crate) fn unexplained(&self) -> impl Iterator<Item = &str> {
        let without = self.preopen_fails.iter();
        let without = without.filter(|test| test.reason.is_none());
        without.map(|test| test.test.as_str())
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title)?;
        writeln!(f, "  runc:    {}", self.runc)?;
        writeln!(f, "  preopen: {}", self.preopen)?;
        for (what, tests) in [
            ("fails with preopen alone", &self.preopen_fails),
            ("fails with runc alone", &self.runc_fails),
            ("fails with both", &self.both_fail),
        ] {
            for Explained { test, reason } in tests {
                let reason = reason.as_deref().unwrap_or("no reason is known");
                writeln!(f, "  {what}: {test}: {reason}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::results::Kept;

    #[test]
    fn a_test_that_preopen_skips_or_fails_needs_a_reason_if_it_passes_with_runc() {
        let kept = |tests: &[(&str, Outcome)]| Kept {
            date: "2026-11-26".into(),
            tests: tests
                .iter()
                .map(|(name, end)| ((*name).into(), *end))
                .collect(),
        };
        use Outcome::{Failed, Passed};
        let runc = kept(&[
            ("a", Passed),
            ("b", Passed),
            ("c", Failed),
            ("d", Failed),
            ("e", Passed),
        ]);
        let preopen = kept(&[("a", Passed), ("c", Failed), ("d", Passed), ("e", Failed)]);
        let results = Results {
            suite: "s".into(),
            version: "v1".into(),
            platform: "p".into(),
            runs: [("runc".into(), runc), ("preopen".into(), preopen)].into(),
        };
        let names = |tests: &[Explained]| {
            let names: Vec<_> = tests.iter().map(|test| test.test.clone()).collect();
            names.join(" ")
        };
        let difference = Difference::of(&results, &Reasons::default());
        assert_eq!(names(&difference.preopen_fails), "b e");
        assert_eq!(names(&difference.both_fail), "c");
        assert_eq!(names(&difference.runc_fails), "d");
        assert_eq!(difference.unexplained().collect::<Vec<_>>(), ["b", "e"]);
        let reasons = toml::from_str("[preopen.s]\nb = \"because\"").expect("well formed");
        let difference = Difference::of(&results, &reasons);
        assert_eq!(difference.unexplained().collect::<Vec<_>>(), ["e"]);
    }
}
