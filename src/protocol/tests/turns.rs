//! An instance that claims without a pause lets the others claim.

use super::*;
use crate::protocol::directory::FsErrorKind::NotFound;

/// Returns how many visitors a busy instance answers before another instance answers its only one.
fn answered_before_the_other(world: &World) -> usize {
    let mut processes = Process::start_many(world, 2);
    processes[0].visitors(1);
    processes[0].finish(world);
    processes[1].visitors(1);
    while processes[1].answered() == 0 {
        let busy = &mut processes[0];
        if busy.sent < busy.answered() + 2 {
            busy.visitors(1);
        }
        step(world, &mut processes);
    }
    processes[0].answered()
}

#[test]
fn an_instance_under_load_lets_another_claim() {
    let mut answered: Vec<_> = (0..500)
        .map(|seed| answered_before_the_other(&World::new(seed)))
        .collect();
    answered.sort_unstable();
    // Without turns it is 49.
    assert!(answered[250] < 40, "{} at the median", answered[250]);
}

#[test]
fn a_request_for_a_turn_by_an_instance_that_is_gone_is_answered_once() {
    let world = World::new(7);
    let mut process = Process::start(&world);
    process.visitors(1);
    process.finish(&world);
    create_beside_ticket(&world, "waiting", b"");
    for _ in 0..20 {
        process.visitors(1);
        world.run(&mut process.pool, 2);
    }
    process.finish(&world);
    assert_exactly(process.numbers(), 21);
    assert_eq!(tickets(&world), ["ticket.21"]);
}

/// Asking costs two calls, so that an instance does not ask after each lost race.
#[test]
fn an_instance_asks_for_a_turn_after_its_second_lost_claim() {
    for lost in 0..4 {
        let world = World::new(8);
        let mut first = Process::start(&world);
        first.visitors(1);
        first.finish(&world);
        let mut process = Process::start(&world);
        process.visitors(1);
        fail(&world, "rename ticket.1", NotFound);
        while world.with(|state| state.history.count("rename ticket.1")) < lost {
            world.run(&mut process.pool, 1);
        }
        mend(&world);
        assert_eq!(process.finish(&world), [2]);
        let asked = world.with(|state| state.history.count("create_file waiting"));
        assert_eq!(asked, lost.saturating_sub(1), "after {lost} lost claims");
        assert_eq!(tickets(&world), ["ticket.2"]);
    }
}
