//! Every body on its seeds and on inputs that are made of them: the same ones at every run.

use fuzz_bodies::BODIES;
use std::path::Path;

/// Inputs for each body, besides its seeds.
const INPUTS: usize = 3000;

/// Changes of a seed that become one input, at most.
const MAX_CHANGES: u64 = 6;

/// Parts of inputs that mean something to a parser.
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

/// Numbers without any relation, the same ones at every run (xorshift).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Returns a number below `limit`, or 0.
    fn below(&mut self, limit: usize) -> usize {
        // Both fit: the remainder is below a usize.
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
fn what_must_hold_holds_of_every_seed_and_of_what_becomes_of_it() {
    for (name, body) in BODIES {
        let seeds = seeds(name);
        seeds.iter().for_each(|seed| body(seed));
        let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
        for _ in 0..INPUTS {
            let mut input = seeds[numbers.below(seeds.len())].clone();
            let other = &seeds[numbers.below(seeds.len())];
            for _ in 0..=numbers.next() % MAX_CHANGES {
                change(&mut input, other, &mut numbers);
            }
            let result = std::panic::catch_unwind(|| body(&input));
            assert!(
                result.is_ok(),
                "{name} fails on {:?}",
                String::from_utf8_lossy(&input)
            );
        }
    }
}
