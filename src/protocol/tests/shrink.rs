//! Shrinking: the shortest list of choices that is found to fail in the same way.
//!
//! A choice beyond the end of the list takes turns, so a shorter list means fewer choices that matter. A failure is the same if
//! its message is the same but for its numbers.

use std::any::Any;
use std::panic;
use std::time::{Duration, Instant};

/// How long a failure is shrunk.
const LIMIT: Duration = Duration::from_secs(20);

type Failure = Box<dyn Any + Send>;

/// Returns fewer or lower choices than `picks` with which `run` fails as `failure` did.
pub(super) fn shrink(
    mut picks: Vec<u64>,
    failure: &Failure,
    run: impl Fn(&[u64]) -> Option<Failure>,
) -> Vec<u64> {
    let expected = kind(failure);
    let end = Instant::now() + LIMIT;
    // The failures of the attempts are no news.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let fails = |picks: &[u64]| {
        Instant::now() < end && run(picks).is_some_and(|failure| kind(&failure) == expected)
    };
    if fails(&picks) {
        reduce(&mut picks, fails);
    }
    panic::set_hook(hook);
    picks
}

/// Cuts off the end, removes blocks, and lowers choices, for as long as one of them succeeds.
fn reduce(picks: &mut Vec<u64>, fails: impl Fn(&[u64]) -> bool) {
    loop {
        let before = picks.clone();
        let mut length = picks.len();
        while length > 0 {
            let mut start = 0;
            while start < picks.len() {
                let block = start..picks.len().min(start + length);
                let mut shorter = picks.clone();
                shorter.drain(block);
                if fails(&shorter) {
                    *picks = shorter;
                } else {
                    start += length;
                }
            }
            length /= 2;
        }
        for at in 0..picks.len() {
            for lower in [0, picks[at] / 2] {
                let mut other = picks.clone();
                other[at] = lower;
                if lower < picks[at] && fails(&other) {
                    *picks = other;
                }
            }
        }
        if *picks == before {
            return;
        }
    }
}

/// Returns a failure's message without its numbers.
fn kind(failure: &Failure) -> String {
    let text = match failure.downcast_ref::<String>() {
        Some(text) => text.as_str(),
        None => failure.downcast_ref::<&str>().copied().unwrap_or_default(),
    };
    text.chars().filter(|it| !it.is_ascii_digit()).collect()
}

/// Reads choices such as `3,0,1`.
pub(super) fn parse(text: &str) -> Result<Vec<u64>, String> {
    let picks = text.split(',').filter(|it| !it.is_empty());
    let number = |it: &str| it.parse().map_err(|_| format!("{it:?} is not a number"));
    picks.map(number).collect()
}

mod tests {
    use super::*;

    #[test]
    fn a_failure_is_shrunk_to_the_choices_that_matter() {
        let failure: Failure = Box::new("7 is too much".to_owned());
        let picks: Vec<u64> = (0..200).map(|it| it % 9).collect();
        // It fails if an 8 comes after a 5, anywhere.
        let shrunk = shrink(picks, &failure, |picks| {
            let five = picks.iter().position(|it| *it == 5)?;
            let eight = picks[five..].contains(&8);
            eight.then(|| Box::new("8 is too much".to_owned()) as Failure)
        });
        assert_eq!(shrunk, [5, 8]);
    }

    #[test]
    fn another_failure_is_not_taken_for_the_same() {
        let failure: Failure = Box::new("7 is too much");
        let shrunk = shrink(vec![3, 2, 1], &failure, |picks| {
            let other = if picks.len() < 3 {
                "no visitor"
            } else {
                "9 is too much"
            };
            Some(Box::new(other))
        });
        assert_eq!(shrunk.len(), 3);
    }

    #[test]
    fn choices_are_read_back() {
        assert_eq!(parse("3,0,1"), Ok(vec![3, 0, 1]));
        assert_eq!(parse(""), Ok(vec![]));
        assert!(parse("3,x").is_err());
    }
}
