//! The seeds of a random test: which ones run, how a failure is replayed, and which schedules must have occurred.
//!
//! `VISITS_SEED` runs one seed, `VISITS_SEEDS` the first so many seeds of each test.

use std::collections::BTreeMap;
use std::env;
use std::ops::Range;

/// The variable with the one seed to run.
const SEED: &str = "VISITS_SEED";

/// The variable with the number of seeds to run.
const SEEDS: &str = "VISITS_SEEDS";

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

/// Runs `test` on each seed of `0..default`, or on those that the environment names. If it fails, prints the command that
/// replays it. After at least `default` seeds, asserts that every schedule that the test notes has occurred.
pub(super) fn each_seed<F: Fn(u64, &mut Seen)>(default: u64, test: F) {
    let variable = |name: &str| env::var_os(name).map(|it| it.to_string_lossy().into_owned());
    let seeds = seeds(default, variable).unwrap_or_else(|error| panic!("{error}"));
    let count = seeds.end - seeds.start;
    let mut seen = Seen::default();
    for seed in seeds {
        let _on_failure = Replay {
            seed,
            test: name_of(&test),
        };
        test(seed, &mut seen);
    }
    println!("{count} seeds, schedules seen: {:?}", seen.0);
    if count >= default {
        seen.assert_complete(count);
    }
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
    match (number(SEED, 0)?, number(SEEDS, 1)?) {
        (Some(_), Some(_)) => Err(format!("both {SEED} and {SEEDS} are set: unset one")),
        (Some(seed), None) => Ok(seed..seed + 1),
        (None, count) => Ok(0..count.unwrap_or(default)),
    }
}

/// Prints the command that replays a seed when it is dropped by a panic.
struct Replay {
    seed: u64,
    test: &'static str,
}

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay with: {}", self.command());
        }
    }
}

impl Replay {
    fn command(&self) -> String {
        let Replay { seed, test } = self;
        format!("{SEED}={seed} cargo test -p visits --lib {test} -- --exact")
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
        ] {
            let error = chosen(&[(name, value)]).unwrap_err();
            assert!(error.contains(&format!("{name}={value:?}")), "{error}");
        }
        assert!(chosen(&[(SEED, "1"), (SEEDS, "2")]).is_err());
    }

    #[test]
    fn a_failure_names_the_command_that_replays_it() {
        let test = name_of(&|| ());
        let replay = Replay { seed: 17, test };
        assert_eq!(
            replay.command(),
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
