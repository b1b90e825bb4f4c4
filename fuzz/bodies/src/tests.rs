//! Runs every body on its seeds and on mutations of them, which are the same in every run.

use fuzz_bodies::BODIES;
use std::path::Path;

/// The number of mutated inputs for each body.
const INPUTS: usize = 3000;

/// Minimum number of these inputs that a parser must accept, so that the assertions about its results are tested.
const MIN_REACHED: usize = 100;

/// Maximum number of changes of a seed.
const MAX_CHANGES: u64 = 6;

/// Parts of inputs with a meaning for a parser.
const WORDS: [&str; 20] = [
    "\"HOME=\"",
    "HOME",
    "=",
    "null",
    "[]",
    "{}",
    "\"env\":",
    "\"cgroup\"",
    "\"capabilities\":",
    "\0",
    "\n",
    ":",
    "..",
    "/",
    "*",
    "\"",
    "[[trigger.http]]",
    "0",
    "\u{fe0f}",
    "é",
];

/// A generator of pseudo-random numbers (xorshift), the same in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Returns a number below `limit`, or 0 if `limit` is 0.
    fn below(&mut self, limit: usize) -> usize {
        // The remainder fits, because it is below a usize.
        (self.next() % limit.max(1) as u64) as usize
    }
}

/// Changes a text in one place.
fn change(input: &mut Vec<u8>, other: &[u8], numbers: &mut Numbers) {
    let at = numbers.below(input.len() + 1);
    let end = (at + numbers.below(16)).min(input.len());
    match numbers.below(5) {
        0 if at < input.len() => input[at] ^= 1 << numbers.below(8),
        1 => drop(input.drain(at..end)),
        2 => {
            let again = input[at..end].to_vec();
            input.splice(at..at, again);
        }
        3 => {
            let from = numbers.below(other.len() + 1);
            let to = (from + numbers.below(64)).min(other.len());
            input.splice(at..end, other[from..to].iter().copied());
        }
        _ => {
            let word = WORDS[numbers.below(WORDS.len())];
            input.splice(at..at, word.bytes());
        }
    }
}

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../seeds")
        .join(name);
    let entries = std::fs::read_dir(&directory).expect("every body has seeds");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{name} has no seed");
    paths
        .iter()
        .map(|path| std::fs::read(path).expect("a seed"))
        .collect()
}

#[test]
fn the_assertions_hold_for_every_seed_and_its_mutations() {
    for (name, body) in BODIES {
        let seeds = seeds(name);
        let mut reached = seeds.iter().filter(|seed| body(seed)).count();
        assert!(reached > 0, "{name}: no seed reaches the assertions");
        reached = 0;
        let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
        for _ in 0..INPUTS {
            let mut input = seeds[numbers.below(seeds.len())].clone();
            let other = &seeds[numbers.below(seeds.len())];
            for _ in 0..=numbers.next() % MAX_CHANGES {
                change(&mut input, other, &mut numbers);
            }
            let result = std::panic::catch_unwind(|| body(&input));
            let Ok(has_reached) = result else {
                panic!("{name} fails on {:?}", String::from_utf8_lossy(&input));
            };
            reached += usize::from(has_reached);
        }
        assert!(
            reached >= MIN_REACHED,
            "{name}: only {reached} of {INPUTS} inputs reach the assertions"
        );
    }
}
