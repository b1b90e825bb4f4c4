//! The seeds of a random test: which ones run, how a failure is replayed, and which schedules must have occurred.
//!
//! `VISITS_SEED` runs one seed, `VISITS_SEEDS` the first so many seeds of each test, or a range such as `5000..6000`.
//! `VISITS_TAPE` runs the choices of a failure that was [shrunk](super::shrink). `VISITS_SHRINK=0` prints a failure at once.

use super::shrink;
use crate::protocol::simulated::choices::tape;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::env;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// The variable with the one seed to run.
const SEED: &str = "VISITS_SEED";

/// The variable with the number of seeds to run, or the range of them.
const SEEDS: &str = "VISITS_SEEDS";

/// The variable with the choices to run.
const TAPE: &str = "VISITS_TAPE";

/// The variable that turns off shrinking if it is `0`.
const SHRINK: &str = "VISITS_SHRINK";

/// How many times the seeds run by default that a test needs to see its schedules. All tests together need 4540. With
/// optimisation, as in `make test`, that makes 113 500.
const SCALE: u64 = if cfg!(debug_assertions) { 1 } else { 25 };

thread_local! {
    /// Whether a failure is expected, so that it is not shrunk.
    pub(super) static WITHOUT_SHRINKING: Cell<bool> = const { Cell::new(false) };
}

/// The schedules that a test has seen, and how often.
#[derive(Default)]
pub(super) struct Seen(BTreeMap<&'static str, u64>);

impl Seen {
    /// Records a schedule if it occurred.
    pub(super) fn note(&mut self, schedule: &'static str, occurred: bool) {
        *self.0.entry(schedule).or_default() += u64::from(occurred);
    }

    /// Asserts that every schedule that the test looks for has occurred.
    fn assert_complete(&self, seeds: u64) {
        assert!(!self.0.is_empty(), "this test notes no schedule");
        let missing: Vec<_> = self.0.iter().filter(|(_, count)| **count == 0).collect();
        assert!(
            missing.is_empty(),
            "in {seeds} seeds these schedules never occurred: {missing:?}"
        );
    }
}

/// Runs `test` on many times `least` seeds, or on those that the environment names. If it fails, prints the command that
/// replays it, and one that replays fewer choices. After at least `least` seeds, asserts that every schedule that the test
/// notes has occurred.
pub(super) fn each_seed<F: Fn(u64, &mut Seen)>(least: u64, test: F) {
    let variable = |name: &str| env::var_os(name).map(|it| it.to_string_lossy().into_owned());
    let mut seen = Seen::default();
    if let Some(picks) = variable(TAPE) {
        tape::play(
            &shrink::parse(&picks).unwrap_or_else(|error| panic!("malformed {TAPE}: {error}")),
        );
        return test(0, &mut seen);
    }
    let seeds = seeds(least * SCALE, variable).unwrap_or_else(|error| panic!("{error}"));
    let count = seeds.end - seeds.start;
    for seed in seeds {
        tape::erase();
        let Err(failure) = catch_unwind(AssertUnwindSafe(|| test(seed, &mut seen))) else {
            continue;
        };
        if WITHOUT_SHRINKING.get() {
            resume_unwind(failure);
        }
        let replay = |variable: &str| command(variable, name_of(&test));
        eprintln!("replay with: {}", replay(&format!("{SEED}={seed}")));
        match variable(SHRINK).as_deref() {
            None => {}
            Some("0") => resume_unwind(failure),
            Some(other) => panic!("malformed {SHRINK}={other}: set it to 0, or unset it"),
        }
        let picks = shrink::shrink(tape::take(), &failure, |picks| {
            tape::play(picks);
            catch_unwind(AssertUnwindSafe(|| test(seed, &mut Seen::default()))).err()
        });
        let picks: Vec<_> = picks.iter().map(u64::to_string).collect();
        eprintln!(
            "or, with {} choices: {}",
            picks.len(),
            replay(&format!("{TAPE}={}", picks.join(",")))
        );
        resume_unwind(failure);
    }
    println!("{count} seeds, schedules seen: {:?}", seen.0);
    if count >= least {
        seen.assert_complete(count);
    }
}

/// Returns the command that runs one test with a variable.
fn command(variable: &str, test: &str) -> String {
    format!("{variable} cargo test -p visits --lib {test} -- --exact")
}

/// Returns the seeds to run.
///
/// # Errors
/// Returns a line about a variable that is malformed.
fn seeds(default: u64, variable: impl Fn(&str) -> Option<String>) -> Result<Range<u64>, String> {
    let number = |name: &str, least: u64| match variable(name) {
        None => Ok(None),
        Some(value) => match value.parse::<u64>() {
            Ok(number) if (least..u64::MAX).contains(&number) => Ok(Some(number)),
            _ => Err(format!(
                "malformed variable {name}={value:?}: set it to a number from {least} on"
            )),
        },
    };
    if let Some(text) = variable(SEEDS)
        && let Some((start, end)) = text.split_once("..")
        && let (Ok(start), Ok(end)) = (start.parse(), end.parse())
        && start < end
        && variable(SEED).is_none()
    {
        return Ok(start..end);
    }
    match (number(SEED, 0)?, number(SEEDS, 1)?) {
        (Some(_), Some(_)) => Err(format!("both {SEED} and {SEEDS} are set: unset one")),
        (Some(seed), None) => Ok(seed..seed + 1),
        (None, count) => Ok(0..count.unwrap_or(default)),
    }
}

/// Returns the name of the test function that a closure was written in.
fn name_of<F>(_: &F) -> &'static str {
    let name = std::any::type_name::<F>();
    let name = name.split_once("::").map_or(name, |(_, path)| path);
    name.split_once("::{{").map_or(name, |(path, _)| path)
}

mod tests {
    use super::*;

    fn chosen(variables: &[(&str, &str)]) -> Result<Range<u64>, String> {
        seeds(300, |name| {
            let found = variables.iter().find(|(it, _)| *it == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_environment_chooses_one_seed_or_how_many() {
        assert_eq!(chosen(&[]), Ok(0..300));
        assert_eq!(chosen(&[(SEED, "17")]), Ok(17..18));
        assert_eq!(chosen(&[(SEEDS, "5000")]), Ok(0..5000));
        assert_eq!(chosen(&[(SEEDS, "5000..6000")]), Ok(5000..6000));
    }

    #[test]
    fn a_malformed_variable_is_an_error() {
        for (name, value) in [
            (SEED, ""),
            (SEED, "-1"),
            (SEED, "0x11"),
            (SEED, "17 "),
            (SEED, "18446744073709551615"),
            (SEEDS, ""),
            (SEEDS, "0"),
            (SEEDS, "many"),
            (SEEDS, "1.5"),
            (SEEDS, "7..7"),
            (SEEDS, "7.."),
        ] {
            let error = chosen(&[(name, value)]).unwrap_err();
            assert!(error.contains(&format!("{name}={value:?}")), "{error}");
        }
        assert!(chosen(&[(SEED, "1"), (SEEDS, "2")]).is_err());
    }

    #[test]
    fn a_failure_names_the_command_that_replays_it() {
        let test = name_of(&|| ());
        assert_eq!(
            command("VISITS_SEED=17", test),
            "VISITS_SEED=17 cargo test -p visits --lib protocol::tests::seeds::tests::\
             a_failure_names_the_command_that_replays_it -- --exact"
        );
    }

    #[test]
    #[should_panic(expected = "never occurred: [(\"rare\", 0)]")]
    fn a_schedule_that_never_occurred_fails_the_test() {
        let mut seen = Seen::default();
        seen.note("usual", true);
        seen.note("rare", false);
        seen.assert_complete(300);
    }
}
