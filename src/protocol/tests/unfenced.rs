//! Publishing without a fence, on a volume that has no space for the file that would replace `visits.bin`.

use super::rules::calls_of;
use super::*;
use crate::protocol::directory::FsErrorKind::*;
use crate::protocol::simulated::Call;
use std::time::Duration;

const SEEDS: u64 = 400;

/// Returns a full volume where another instance has claimed number 1, and an instance that has claimed number 2.
fn full_volume(world: &World) -> Process {
    let mut another = Process::start(world);
    another.visitors(1);
    another.finish(world);
    world.with(|state| state.disk.full = true);
    let mut process = Process::start(world);
    process.visitors(1);
    assert_eq!(process.finish(world), [2]);
    process
}

/// Sends one visitor to a new instance. Returns its error.
fn refused(world: &World) -> String {
    let mut process = Process::start(world);
    process.visitors(1);
    process.run(world);
    process.errors().remove(0)
}

#[test]
fn an_instance_writes_and_looks_before_its_first_claim_and_after_it() {
    let world = World::new(1);
    let mut process = full_volume(&world);
    let last = |from: &str| {
        let calls = calls_of(&world);
        let start = calls.iter().rposition(|it| it == from).unwrap();
        calls[start..].to_vec()
    };
    let first = [
        "open_file next.2",
        "remove_file next.2",
        // What it will write is written once before.
        "modified ticket.1",
        "write visits.bin",
        "modified ticket.1",
        "truncate visits.bin",
        "rename ticket.1",
        "sync",
        "write visits.bin",
        // Nobody else has claimed.
        "rename again ticket.2",
    ];
    assert_eq!(last("open_file next.2"), first);
    world.with(|state| state.history.calls.clear());
    process.visitors(1);
    assert_eq!(process.finish(&world), [2, 3]);
    let second = [
        "rename ticket.2",
        "sync",
        "write visits.bin",
        "rename again ticket.3",
    ];
    assert_eq!(last("rename ticket.2"), second);
}

#[test]
fn a_ticket_that_cannot_be_read_refuses_the_visit() {
    let world = World::new(2);
    full_volume(&world);
    fail(&world, "modified ticket.", Denied);
    let error = refused(&world);
    assert!(
        error.contains("cannot read the ticket in .visits"),
        "{error}"
    );
    assert_eq!(tickets(&world), ["ticket.2"]);
}

/// Both bounds must be passed. Before its claim a publisher writes once, and then 16 times because others claim.
#[test]
fn a_publisher_gives_up_after_sixteen_writes_and_five_seconds() {
    for (call_time, writes) in [(20, 60..70), (100, 17..18)] {
        let world = World::new(3);
        full_volume(&world);
        fail(&world, "modified ticket.", NotFound);
        world.with(|state| state.call_time = Duration::from_millis(call_time));
        world.with(|state| state.history.calls.clear());
        let before = world.now();
        let error = refused(&world);
        assert!(
            error.contains("faster than visits.bin can be written"),
            "{error}"
        );
        let written = world.with(|state| state.history.count("write visits.bin"));
        assert!(writes.contains(&written), "{written} writes");
        assert!(world.now() - before > Duration::from_secs(5));
        assert_eq!(tickets(&world), ["ticket.2"]);
    }
}

/// What the leader has written for a batch that failed afterwards may be late.
#[test]
fn a_leader_whose_last_batch_fails_looks_before_it_ends() {
    each_seed(SEEDS, |seed, seen| {
        let world = World::new(seed);
        let mut processes = vec![full_volume(&world), Process::start(&world)];
        for _ in 0..4 {
            processes[0].visitors(1);
            steps_below(6, &world, &mut processes);
        }
        world.with(|state| state.one_fault = Some(("sync", Io)));
        let failed = || world.with(|state| state.history.failed("sync", Io));
        while !failed() && processes[0].answered() < processes[0].sent {
            step(&world, &mut processes);
        }
        let mut late = take_writes(&world);
        seen.note(
            "a write that lands late after a failed sync",
            !late.is_empty() && failed(),
        );
        processes[1].visitors(1);
        while processes[1].answered() < processes[1].sent {
            step(&world, &mut processes);
        }
        world.with(|state| state.under_way.append(&mut late));
        run_to_rest(&world, &mut processes);
        let acknowledged = processes.iter().flat_map(Process::numbers).max();
        assert!(published(&world) >= acknowledged, "{acknowledged:?}");
    });
}

/// Takes the writes that are under way, which the system may delay.
fn take_writes(world: &World) -> Vec<Call> {
    world.with(|state| {
        let calls = std::mem::take(&mut state.under_way).into_iter();
        let (writes, others) = calls.partition(|call| call.name.starts_with("write visits.bin"));
        state.under_way = others;
        writes
    })
}
