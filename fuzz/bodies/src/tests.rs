//! Runs every body on its seeds and on mutations of them, which are the same in every run.

use fuzz_bodies::{TARGETS, Target};
use std::path::Path;
use visits_support::mutation::Mutator;

/// The number of mutated inputs for each body.
const INPUTS: usize = 3000;

/// Minimum number of these inputs that a parser must accept, so that the assertions about its results are tested.
const MIN_REACHED: usize = 60;

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
    for Target { name, body, words } in TARGETS {
        let seeds = seeds(name);
        let mut reached = seeds.iter().filter(|seed| body(seed)).count();
        assert!(reached > 0, "{name}: no seed reaches the assertions");
        reached = 0;
        let mut mutator = Mutator::new(0, words);
        for _ in 0..INPUTS {
            let input = mutator.input(&seeds);
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
