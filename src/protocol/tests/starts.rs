//! The first start if a call fails, and what crashed starters have left.

use super::*;
use crate::protocol::directory::FsErrorKind::*;

#[test]
fn a_start_that_fails_reports_the_cause_and_leaves_nothing() {
    for (call, kind, expected) in [
        ("create_dir .visits-", Denied, "cannot create .visits in"),
        ("open_dir .visits-", Denied, "cannot create .visits in"),
        ("create_file ticket.0", Denied, "cannot create .visits in"),
        ("rename .visits-", Denied, "cannot rename .visits-"),
        ("open_file visits.bin", Denied, "cannot write visits.bin in"),
    ] {
        let world = World::new(1);
        let mut process = Process::start(&world);
        fail(&world, call, kind);
        process.visitors(1);
        process.run(&world);
        let errors = process.errors();
        assert!(errors[0].starts_with(expected), "{call}: {errors:?}");
        assert!(errors[0].ends_with(": Denied"), "{call}: {errors:?}");
        assert_eq!(names(&world), [""; 0], "{call}");
        mend(&world);
        process.visitors(1);
        assert_eq!(process.finish(&world), [1], "{call}");
    }
}

#[test]
fn a_ticket_that_cannot_be_synced_is_not_shown() {
    let world = World::new(2);
    let mut process = Process::start(&world);
    fail(&world, "sync_file ticket.0", Io);
    process.visitors(1);
    process.run(&world);
    let errors = process.errors();
    assert!(errors[0].contains("cannot sync"), "{errors:?}");
    assert_eq!(names(&world), [""; 0]);
}

#[test]
fn a_preparation_that_another_starter_clears_is_prepared_again() {
    for call in ["open_dir .visits-", "create_file ticket.0"] {
        let world = World::new(3);
        let mut process = Process::start(&world);
        world.with(|state| state.one_fault = Some((call, NotFound)));
        process.visitors(1);
        assert_eq!(process.finish(&world), [1], "{call}");
        assert_eq!(names(&world), [".visits", "visits.bin"], "{call}");
    }
}

#[test]
fn what_crashed_starters_have_left_is_removed_by_a_start_and_by_a_probe() {
    const LEFT: &str = ".visits-0123456789abcdef";
    const FOREIGN: &str = ".visits-of-monday";
    let leave = |world: &World| {
        world.with(|state| {
            for name in [LEFT, FOREIGN] {
                let _ = state.disk.create_dir(ROOT, name);
            }
            let prepared = state.disk.open_dir(ROOT, LEFT).unwrap();
            state.disk.create_file(prepared, "ticket.0").unwrap();
        });
    };
    let world = World::new(4);
    leave(&world);
    let mut process = Process::start(&world);
    process.visitors(1);
    assert_eq!(process.finish(&world), [1]);
    assert_eq!(names(&world), [".visits", FOREIGN, "visits.bin"]);
    leave(&world);
    assert_eq!(Process::start(&world).probe(&world), Ok(()));
    assert_eq!(names(&world), [".visits", FOREIGN, "visits.bin"]);
}
