//! The leader keeps its files open for the next visitor, for a moment.

use super::rules::calls_of;
use super::*;
use std::time::Duration;

/// Runs until `count` visitors have their numbers, and no further.
fn run_until(process: &mut Process, world: &World, count: usize) {
    loop {
        world.poll(&mut process.pool);
        if process.numbers().len() == count {
            return;
        }
        assert!(world.step(), "a visitor waits for ever");
    }
}

#[test]
fn a_visitor_right_after_another_finds_the_files_open() {
    let world = World::new(6);
    let mut process = Process::start(&world);
    process.visitors(1);
    process.finish(&world);
    process.visitors(1);
    run_until(&mut process, &world, 2);
    world.with(|state| state.history.calls.clear());
    process.visitors(1);
    process.finish(&world);
    let calls = [
        "rename ticket.2",
        "sync",
        "write visits.bin",
        "rename again ticket.3",
    ];
    assert_eq!(calls_of(&world), calls);
}

/// An operator may have moved the files away.
#[test]
fn files_that_are_open_for_half_a_second_are_opened_anew() {
    for (age, opened) in [(500, 0), (501, 2)] {
        let world = World::new(7);
        let mut process = Process::start(&world);
        process.visitors(1);
        process.finish(&world);
        process.visitors(1);
        run_until(&mut process, &world, 2);
        world.pass(Duration::from_millis(age));
        world.with(|state| state.history.calls.clear());
        process.visitors(1);
        assert_eq!(process.finish(&world), [1, 2, 3]);
        let calls = calls_of(&world);
        let count = world.with(|state| state.history.count("open_"));
        assert_eq!(count, opened, "after {age} ms: {calls:?}");
    }
}
