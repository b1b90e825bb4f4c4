//! The leader keeps its files open for the next visitor, for a moment.

use super::rules::calls_of;
use super::*;

#[test]
fn a_visitor_right_after_another_finds_the_files_open() {
    let world = World::new(6);
    let mut process = Process::start(&world);
    process.visitors(1);
    process.finish(&world);
    process.visitors(1);
    loop {
        world.poll(&mut process.pool);
        if process.numbers().len() == 2 {
            break;
        }
        world.step();
    }
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
