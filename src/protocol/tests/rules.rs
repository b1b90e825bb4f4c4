//! One rule each, on any schedule.

use super::*;
use crate::protocol::directory::FsErrorKind;
use crate::protocol::ticket::Ticket;

/// Returns the calls that took effect.
pub(super) fn calls_of(world: &World) -> Vec<String> {
    world.with(|state| {
        state
            .history
            .calls
            .iter()
            .map(|it| without_id(it))
            .collect()
    })
}

#[test]
pub(super) fn a_visit_is_claimed_synced_published_and_only_then_answered() {
    let world = World::new(1);
    let mut process = Process::start(&world);
    process.visitors(1);
    process.finish(&world);
    world.with(|state| state.history.calls.clear());
    process.visitors(1);
    let mut answered_after = None;
    while answered_after.is_none() {
        world.run(&mut process.pool, 1);
        if process.numbers().len() == 2 {
            answered_after = Some(calls_of(&world));
        }
    }
    let calls = answered_after.unwrap();
    let position = |call: &str| {
        let found = calls.iter().position(|c| c == call);
        found.unwrap_or_else(|| panic!("no {call:?} before the answer: {calls:?}"))
    };
    assert!(position("rename ticket.1") < position("sync"), "{calls:?}");
    assert!(position("sync") < position("write visits.bin"), "{calls:?}");
}

/// Checks before a claim must not add a call to a visitor alone, or to a batch under load.
#[test]
pub(super) fn a_visit_costs_six_calls_and_a_batch_under_load_three() {
    let world = World::new(3);
    let mut process = Process::start(&world);
    process.visitors(1);
    process.finish(&world);
    world.with(|state| state.history.calls.clear());
    process.visitors(1);
    process.finish(&world);
    let mut calls = calls_of(&world);
    // They are made side by side.
    calls[..2].sort_unstable();
    let alone = [
        "open_dir .visits",
        "open_file visits.bin",
        "rename ticket.1",
        "sync",
        "write visits.bin",
        "rename again ticket.2",
    ];
    assert_eq!(calls, alone);
    world.with(|state| state.history.calls.clear());
    // A visitor is always waiting.
    for _ in 0..200 {
        process.visitors(1);
        world.run(&mut process.pool, 2);
    }
    process.finish(&world);
    let calls = world.with(|state| state.history.calls.clone());
    let count = |name: &str| world.with(|state| state.history.count(name));
    // Only the last batch has no claim after it.
    assert_eq!(count("rename again"), 1, "{calls:?}");
    let batches = count("rename") - 1;
    assert!(batches > 50, "{batches} batches");
    assert_eq!(count("sync"), batches, "{calls:?}");
    assert_eq!(count("write"), batches, "{calls:?}");
    // The clock stands still, so everything is opened once.
    assert_eq!(count("open"), 2, "{calls:?}");
    // Every fourth looks whether another instance waits.
    let looks = count("remove_file waiting");
    assert!(looks.abs_diff(batches / 4) <= 1, "{calls:?}");
    assert_eq!(calls.len(), 3 * batches + looks + 3, "{calls:?}");
}

/// The ticket that another instance has moved is found by one listing, without a pause.
#[test]
pub(super) fn a_claim_with_an_old_guess_costs_a_listing_and_no_pause() {
    let world = World::new(4);
    let mut processes = Process::start_many(&world, 2);
    for process in &mut processes {
        process.visitors(1);
        process.finish(&world);
    }
    world.with(|state| state.history.calls.clear());
    let before = world.now();
    processes[0].visitors(1);
    assert_eq!(processes[0].finish(&world), [1, 3]);
    let calls = [
        "open_dir .visits",
        "open_file visits.bin",
        "rename ticket.1",
        // One listing.
        "list",
        "list",
        "open_file visits.bin",
        // The other instance has published.
        "read next.2",
        "open_file next.3",
        "write next.3",
        "rename ticket.2",
        "rename next.3",
        "sync",
        "create_file confirmation.3",
        "remove_file confirmation.3",
    ];
    let mut made = calls_of(&world);
    // They are made side by side.
    made[..2].sort_unstable();
    assert_eq!(made, calls);
    assert_eq!(world.now(), before);
}

#[test]
pub(super) fn a_commit_costs_two_renames_and_one_sync_however_many_wait() {
    let world = World::new(2);
    let mut process = Process::start(&world);
    process.visitors(1);
    process.finish(&world);
    world.with(|state| state.history.calls.clear());
    process.visitors(500);
    process.finish(&world);
    let calls = world.with(|state| state.history.calls.clone());
    let count = |name: &str| world.with(|state| state.history.count(name));
    assert_eq!((count("rename"), count("sync")), (2, 1), "{calls:?}");
    assert_exactly(process.numbers(), 501);
}

#[test]
pub(super) fn a_volume_of_app_py_is_taken_over_by_value() {
    for (bytes, count) in [
        (&[][..], 0),
        (&[114][..], 114),
        (&[0x39, 0x05][..], 1337),
        (&[1, 2, 3][..], 0x03_02_01),
        (&[9, 0, 0, 0, 0, 0, 0, 0][..], 9),
        (&[9, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], 9),
    ] {
        let world = World::new(7);
        set_visits_bin(&world, bytes);
        let mut process = Process::start(&world);
        assert_eq!(process.current(&world), Ok(count));
        assert_eq!(names(&world), ["visits.bin"]);
        process.visitors(1);
        assert_eq!(process.finish(&world), [count + 1]);
        assert_eq!(published(&world), Some(count + 1));
    }
}

#[test]
pub(super) fn a_file_that_cannot_be_a_count_is_refused_and_kept() {
    let world = World::new(8);
    set_visits_bin(&world, b"one hundred");
    let mut process = Process::start(&world);
    process.visitors(3);
    assert_eq!(process.finish(&world), NOBODY);
    assert_eq!(process.current(&world).unwrap_err().0, Refusal::NotACount);
    let (refusal, line) = process.probe(&world).unwrap_err();
    assert_eq!(refusal, Refusal::NotACount);
    assert!(line.contains("/app/persistent/visits.bin"), "{line}");
    assert_eq!(content(&world, record::FILE).unwrap(), b"one hundred");
    assert_eq!(names(&world), ["visits.bin"]);
}

#[test]
pub(super) fn requests_before_the_first_visit_change_nothing() {
    let world = World::new(9);
    let mut process = Process::start(&world);
    assert_eq!(process.current(&world), Ok(0));
    assert_eq!(process.probe(&world), Ok(()));
    assert_eq!(names(&world), [""; 0]);
}

#[test]
pub(super) fn after_a_failed_sync_nothing_is_acknowledged_although_later_ones_succeed() {
    let world = World::new(10);
    let mut process = Process::start(&world);
    process.visitors(2);
    process.finish(&world);
    fail(&world, "sync", FsErrorKind::Other);
    process.visitors(2);
    process.run(&world);
    mend(&world);
    process.visitors(2);
    assert_eq!(process.finish(&world), [1, 2]);
    assert_eq!(process.errors().len(), 4);
    assert!(
        process.errors()[3].contains("cannot sync"),
        "{:?}",
        process.errors()
    );
    assert!(process.probe(&world).is_err());
    // A new instance continues from what is there, and gives no number twice.
    let mut next = Process::start(&world);
    next.visitors(1);
    assert!(next.finish(&world)[0] > 2);
}

#[test]
pub(super) fn a_volume_that_refuses_a_call_causes_an_error_and_loses_nothing() {
    for call in ["rename", "write", "open_dir", "list"] {
        for kind in [
            FsErrorKind::ReadOnly,
            FsErrorKind::Denied,
            FsErrorKind::Other,
        ] {
            let world = World::new(11);
            let mut process = Process::start(&world);
            process.visitors(3);
            process.finish(&world);
            fail(&world, call, kind);
            let mut restarted = Process::start(&world);
            restarted.visitors(2);
            assert_eq!(restarted.finish(&world), NOBODY, "{call} {kind:?}");
            assert!(
                restarted.errors()[0].contains("/app/persistent"),
                "{call} {kind:?}"
            );
            mend(&world);
            let mut well = Process::start(&world);
            well.visitors(1);
            let number = well.finish(&world)[0];
            assert_eq!(number, 4, "{call} {kind:?}");
            assert_eq!(published(&world), Some(number));
        }
    }
}

#[test]
pub(super) fn what_a_publisher_that_died_left_is_mended_by_any_request() {
    let world = World::new(12);
    let mut process = Process::start(&world);
    process.visitors(5);
    process.finish(&world);
    let longer = [&5u64.to_le_bytes()[..], &[0]].concat();
    for stale in [&3u64.to_le_bytes()[..], b"", b"no count", &longer] {
        set_visits_bin(&world, stale);
        assert_eq!(process.current(&world), Ok(5));
        assert_eq!(published(&world), Some(5));
        set_visits_bin(&world, stale);
        assert_eq!(process.probe(&world), Ok(()));
        assert_eq!(published(&world), Some(5));
    }
}

#[test]
pub(super) fn of_two_names_left_by_a_crash_the_higher_counts_on() {
    let world = World::new(13);
    let mut process = Process::start(&world);
    process.visitors(5);
    process.finish(&world);
    let ticket = ticket(&world);
    world.with(|state| {
        let private = state.disk.open_dir(ROOT, ".visits").unwrap();
        state.disk.link(private, &ticket, "ticket.3").unwrap();
    });
    let mut restarted = Process::start(&world);
    restarted.visitors(1);
    assert_eq!(restarted.finish(&world), [6]);
    assert_eq!(tickets(&world), ["ticket.6"]);
}

#[test]
pub(super) fn an_empty_private_directory_is_started_anew_from_visits_bin() {
    let world = World::new(14);
    world
        .with(|state| state.disk.create_dir(ROOT, ".visits"))
        .unwrap();
    set_visits_bin(&world, &[41]);
    let mut process = Process::start(&world);
    assert_eq!(process.current(&world), Ok(41));
    // A listing is two calls here, and an empty one is not believed at once.
    assert_eq!(world.with(|state| state.history.count("list")), 4);
    process.visitors(1);
    assert_eq!(process.finish(&world), [42]);
}

#[test]
pub(super) fn a_private_directory_without_a_ticket_is_never_taken_for_zero() {
    let world = World::new(15);
    world.with(|state| {
        state.disk.create_dir(ROOT, ".visits").unwrap();
        let private = state.disk.open_dir(ROOT, ".visits").unwrap();
        state.disk.create_file(private, "ticket.007").unwrap();
    });
    let mut process = Process::start(&world);
    process.visitors(1);
    assert_eq!(process.finish(&world), NOBODY);
    assert!(
        process.errors()[0].contains("ticket.007"),
        "{:?}",
        process.errors()
    );
    assert_eq!(tickets(&world), ["ticket.007"]);
}

#[test]
pub(super) fn a_count_that_would_pass_64_bits_is_refused() {
    let world = World::new(16);
    set_visits_bin(&world, &(u64::MAX - 1).to_le_bytes());
    let mut process = Process::start(&world);
    process.visitors(1);
    assert_eq!(process.finish(&world), [u64::MAX]);
    process.visitors(1);
    process.finish(&world);
    assert!(
        process.errors()[0].contains("64 bits"),
        "{:?}",
        process.errors()
    );
    assert_eq!(tickets(&world), [Ticket::first(u64::MAX).name()]);
}

#[test]
pub(super) fn a_record_that_cannot_be_read_is_never_taken_for_zero() {
    let world = World::new(18);
    set_visits_bin(&world, &[114]);
    fail(&world, "read visits.bin", FsErrorKind::Other);
    let mut process = Process::start(&world);
    process.visitors(1);
    assert_eq!(process.finish(&world), NOBODY);
    assert!(process.current(&world).is_err());
    mend(&world);
    process.visitors(1);
    assert_eq!(process.finish(&world), [115]);
}

#[test]
pub(super) fn a_file_system_that_does_not_replace_an_empty_directory_gets_eight_tries_and_an_error()
{
    let world = World::new(19);
    world
        .with(|state| state.disk.create_dir(ROOT, ".visits"))
        .unwrap();
    fail(&world, "rename .visits-", FsErrorKind::Exists);
    let mut process = Process::start(&world);
    process.visitors(1);
    assert_eq!(process.finish(&world), NOBODY);
    assert!(
        process.errors()[0].contains("remove it"),
        "{:?}",
        process.errors()
    );
    assert_eq!(names(&world), [".visits"]);
}

#[test]
pub(super) fn a_directory_with_the_name_of_a_ticket_is_not_a_ticket() {
    let world = World::new(20);
    world.with(|state| {
        state.disk.create_dir(ROOT, ".visits").unwrap();
        let private = state.disk.open_dir(ROOT, ".visits").unwrap();
        state.disk.create_dir(private, "ticket.5").unwrap();
    });
    let mut process = Process::start(&world);
    let (refusal, line) = process.probe(&world).unwrap_err();
    assert_eq!(refusal, Refusal::NotACount, "{line}");
    assert!(line.contains("holds no ticket"), "{line}");
    process.visitors(1);
    assert_eq!(process.finish(&world), NOBODY);
    assert_eq!(process.errors(), [line]);
    assert_eq!(tickets(&world), ["ticket.5"]);
}
