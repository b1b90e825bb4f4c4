//! Requests that do not count: what they mend, what they leave alone, and what they cost.

use super::rules::calls_of;
use super::*;
use crate::protocol::directory::FsErrorKind::*;

const SEEDS: u64 = 100;

#[test]
fn reading_a_published_count_costs_four_calls_and_changes_nothing() {
    let world = World::new(1);
    let mut process = Process::start(&world);
    process.visitors(3);
    process.finish(&world);
    world.with(|state| state.history.calls.clear());
    assert_eq!(process.current(&world), Ok(3));
    let calls = ["open_dir .visits", "list", "list", "read visits.bin"];
    assert_eq!(calls_of(&world), calls);
}

#[test]
fn a_reader_leaves_visits_bin_to_the_leader_that_counts() {
    each_seed(SEEDS, |seed, seen| {
        let world = World::new(seed);
        let mut process = Process::start(&world);
        process.visitors(1);
        process.finish(&world);
        process.visitors(1);
        let progress = || world.with(|state| state.history.progress(process.instance));
        while progress() != Some(Progress::Claimed) {
            world.run(&mut process.pool, 1);
        }
        world.with(|state| state.history.calls.clear());
        assert_eq!(process.current(&world), Ok(2));
        let calls = calls_of(&world);
        assert!(!calls.contains(&"open_file next.2".into()), "{calls:?}");
        assert_eq!(process.numbers(), [1, 2]);
        assert_eq!(published(&world), Some(2));
        let position = |call: &str| calls.iter().position(|it| it == call);
        let early = position("list") < position("write visits.bin");
        seen.note("a reader before the leader has published", early);
    });
}

#[test]
fn a_probe_refuses_if_the_ticket_cannot_be_renamed() {
    let world = World::new(2);
    let mut process = Process::start(&world);
    process.visitors(1);
    process.finish(&world);
    for kind in [Denied, ReadOnly, NotPermitted, Io, Other] {
        fail(&world, "remove_dir ticket.", kind);
        let (refusal, line) = process.probe(&world).unwrap_err();
        assert_eq!(refusal, Refusal::Unavailable);
        assert!(line.contains("cannot change .visits"), "{line}");
        mend(&world);
    }
    // Another instance has moved it in the meantime.
    fail(&world, "remove_dir ticket.", NotFound);
    assert_eq!(process.probe(&world), Ok(()));
}

#[test]
fn a_private_directory_that_cannot_be_opened_is_not_taken_for_a_missing_one() {
    let world = World::new(3);
    let mut process = Process::start(&world);
    process.visitors(3);
    process.finish(&world);
    fail(&world, "open_dir .visits", Denied);
    let expected = "cannot open .visits in /app/persistent: Denied";
    assert_eq!(process.current(&world).unwrap_err().1, expected);
    assert_eq!(process.probe(&world).unwrap_err().1, expected);
    process.visitors(1);
    process.run(&world);
    assert_eq!(process.errors(), [expected]);
}
