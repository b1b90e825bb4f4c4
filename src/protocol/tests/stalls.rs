//! A volume that does not respond.

use super::*;
use crate::protocol::stall::STALL_LIMIT;
use std::time::Duration;

#[test]
fn a_volume_that_does_not_answer_fails_its_visitors_and_counts_on_when_it_does() {
    let world = World::new(17);
    let mut process = Process::start(&world);
    process.visitors(1);
    process.finish(&world);
    process.visitors(2);
    world.pass(Duration::from_secs(3600));
    world.hang(true);
    let before = world.now();
    process.run(&world);
    assert_eq!(world.now() - before, STALL_LIMIT);
    process.visitors(1);
    process.run(&world);
    assert_eq!(process.numbers(), [1]);
    assert_eq!(process.errors().len(), 3);
    let line = format!("has not answered for {STALL_LIMIT:?}");
    assert!(
        process.errors().iter().all(|e| e.contains(&line)),
        "{:?}",
        process.errors()
    );
    // The batch that hung ends before the next one begins. Its two visits count and are not acknowledged.
    world.hang(false);
    process.run(&world);
    process.visitors(1);
    assert_eq!(process.finish(&world), [1, 4]);
}
