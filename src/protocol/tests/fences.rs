//! The fence: what is done with a file that another instance has left, and what if a call fails.

use super::rules::calls_of;
use super::*;
use crate::protocol::directory::FsErrorKind::{self, *};

/// Returns a new instance on a volume where another one has claimed number 1.
fn after_another(world: &World) -> Process {
    let mut another = Process::start(world);
    another.visitors(1);
    another.finish(world);
    Process::start(world)
}

/// Leaves a file that is to replace `visits.bin` for the last claim, as a publisher that was killed does.
fn leave_next(world: &World, bytes: &[u8]) {
    let name = ticket(world).replacen("ticket.", "next.", 1);
    create_beside_ticket(world, &name, bytes);
}

/// Sends one visitor. Returns the calls, and the error if there is one.
fn visit(process: &mut Process, world: &World) -> (Vec<String>, Option<String>) {
    world.with(|state| state.history.calls.clear());
    let before = process.errors().len();
    process.visitors(1);
    process.run(world);
    (calls_of(world), process.errors().get(before).cloned())
}

fn made(calls: &[String], call: &str) -> bool {
    calls.iter().any(|it| it == call)
}

#[test]
fn what_was_left_for_the_last_claim_is_published_if_it_is_complete_and_removed_otherwise() {
    let one = record::encode(1);
    let longer = [&one[..], &[0]].concat();
    for (left, complete) in [(&one[..], true), (&one[..7], false), (&longer, false)] {
        let world = World::new(1);
        let mut process = after_another(&world);
        leave_next(&world, left);
        let (calls, error) = visit(&mut process, &world);
        assert_eq!(error, None);
        assert_eq!(made(&calls, "rename next.1"), complete, "{calls:?}");
        assert_eq!(made(&calls, "remove_file next.1"), !complete, "{calls:?}");
        assert_eq!(process.numbers(), [2]);
        assert_eq!(published(&world), Some(2));
        assert_eq!(tickets(&world), ["ticket.2"]);
    }
}

/// A file that is mounted at `visits.bin` cannot be replaced.
#[test]
fn what_cannot_be_moved_is_written_instead() {
    let world = World::new(2);
    let mut process = after_another(&world);
    leave_next(&world, &record::encode(1));
    fail(&world, "rename next.", Other);
    let (calls, error) = visit(&mut process, &world);
    assert_eq!(error, None);
    let position = |call: &str| calls.iter().position(|it| it == call);
    assert!(position("write visits.bin").is_some(), "{calls:?}");
    assert!(
        position("write visits.bin") < position("rename ticket.1"),
        "{calls:?}"
    );
    assert_eq!(process.numbers(), [2]);
    assert_eq!(published(&world), Some(2));
    assert_eq!(tickets(&world), ["ticket.2"]);
}

#[test]
fn a_call_that_fails_at_the_fence_refuses_the_visit() {
    type Faults = &'static [(&'static str, FsErrorKind)];
    // What fails, and the numbers claimed afterwards.
    let cases: [(Faults, u64); 5] = [
        (&[("read next.1", Io)], 1),
        (&[("remove_file next.1", Denied)], 1),
        (&[("write next.2", Io)], 1),
        (&[("rename next.2", Io)], 2),
        (
            &[("rename next.2", Other), ("remove_file next.2", Denied)],
            2,
        ),
    ];
    for (faults, claimed) in cases {
        let world = World::new(3);
        let mut process = after_another(&world);
        leave_next(&world, b"torn");
        for (call, kind) in faults {
            fail(&world, call, *kind);
        }
        let (_, error) = visit(&mut process, &world);
        let error = error.unwrap_or_else(|| panic!("{faults:?} refused nobody"));
        assert!(error.contains("cannot write visits.bin"), "{error}");
        assert_eq!(process.current(&world), Ok(claimed), "{faults:?}");
        mend(&world);
        assert_eq!(visit(&mut process, &world).1, None, "{faults:?}");
        assert_eq!(process.numbers(), [claimed + 1], "{faults:?}");
        assert_eq!(published(&world), Some(claimed + 1), "{faults:?}");
    }
}

#[test]
fn what_another_instance_has_moved_meanwhile_is_published() {
    // Another instance has removed what was left.
    let world = World::new(4);
    let mut process = after_another(&world);
    leave_next(&world, b"torn");
    fail(&world, "remove_file next.1", NotFound);
    assert_eq!(visit(&mut process, &world).1, None);
    assert_eq!(process.numbers(), [2]);
    // Another has published this claim.
    let world = World::new(5);
    let mut process = after_another(&world);
    fail(&world, "rename next.2", NotFound);
    let (calls, error) = visit(&mut process, &world);
    assert_eq!(error, None);
    assert!(!made(&calls, "remove_file next.2"), "{calls:?}");
    assert!(!made(&calls, "write visits.bin"), "{calls:?}");
    // The same, in the moment after this instance could not.
    let world = World::new(6);
    let mut process = after_another(&world);
    fail(&world, "rename next.2", Other);
    fail(&world, "remove_file next.2", NotFound);
    let (calls, error) = visit(&mut process, &world);
    assert_eq!(error, None);
    assert!(!made(&calls, "write visits.bin"), "{calls:?}");
}

#[test]
fn what_a_lost_claim_cannot_remove_is_reported() {
    for (kind, reported) in [(Denied, true), (NotFound, false)] {
        let world = World::new(7);
        let mut process = after_another(&world);
        fail(&world, "remove_file next.2", kind);
        world.with(|state| state.one_fault = Some(("rename ticket.1", NotFound)));
        assert_eq!(visit(&mut process, &world).1, None);
        assert_eq!(process.numbers(), [2]);
        let log = world.with(|state| state.log.clone());
        let found = log.iter().any(|line| line.contains("not removed"));
        assert_eq!(found, reported, "{log:?}");
    }
}
