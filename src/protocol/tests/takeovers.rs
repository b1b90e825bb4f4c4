//! A volume that something else has written is taken over, with one log line and a copy of what was there.

use super::*;
use crate::protocol::directory::FsErrorKind;

const SEEDS: u64 = 400;
const COPY: &str = "visits.bin.taken-over-114";

/// Returns the log lines about a take-over.
fn reports(world: &World) -> Vec<String> {
    let log = world.with(|state| state.log.clone());
    let reports = log.into_iter().filter(|line| line.starts_with("took over"));
    reports.collect()
}

#[test]
pub(super) fn the_first_visit_keeps_a_copy_and_reports_it_once() {
    for original in [&[114][..], &[114, 0, 0, 0], &[114, 0, 0, 0, 0, 0, 0, 0, 0]] {
        let world = World::new(1);
        set_visits_bin(&world, original);
        let mut process = Process::start(&world);
        assert_eq!(process.probe(&world), Ok(()));
        assert_eq!(names(&world), ["visits.bin"], "a probe changes nothing");
        process.visitors(2);
        assert_eq!(process.finish(&world), [115, 116]);
        assert_eq!(names(&world), [".visits", "visits.bin", COPY]);
        assert_eq!(content(&world, COPY).unwrap(), original);
        let mut restarted = Process::start(&world);
        restarted.visitors(1);
        assert_eq!(restarted.finish(&world), [117]);
        let reports = reports(&world);
        assert_eq!(reports.len(), 1, "{reports:?}");
        assert!(reports[0].contains("number 114"), "{reports:?}");
        assert!(reports[0].contains(COPY), "{reports:?}");
    }
}

#[test]
pub(super) fn what_this_counter_wrote_itself_is_reported_and_not_copied() {
    let world = World::new(2);
    set_visits_bin(&world, &114u64.to_le_bytes());
    let mut process = Process::start(&world);
    process.visitors(1);
    assert_eq!(process.finish(&world), [115]);
    assert_eq!(names(&world), [".visits", "visits.bin"]);
    assert!(reports(&world)[0].contains("number 114"));
}

#[test]
pub(super) fn an_empty_volume_has_nothing_to_report() {
    let world = World::new(3);
    let mut process = Process::start(&world);
    process.visitors(1);
    assert_eq!(process.finish(&world), [1]);
    assert_eq!(reports(&world), [""; 0]);
}

#[test]
pub(super) fn a_copy_that_cannot_be_written_refuses_the_start_and_changes_nothing() {
    for kind in [FsErrorKind::NoSpace, FsErrorKind::Denied, FsErrorKind::Io] {
        for call in ["open_file visits.bin.t", "write visits.bin.t"] {
            let world = World::new(4);
            set_visits_bin(&world, &[114]);
            fail(&world, call, kind);
            let mut process = Process::start(&world);
            process.visitors(1);
            process.run(&world);
            assert!(process.errors()[0].contains(COPY), "{:?}", process.errors());
            assert!(process.probe(&world).is_err(), "{call} {kind:?}");
            assert_eq!(names(&world), ["visits.bin"], "{call} {kind:?}");
            assert_eq!(content(&world, "visits.bin").unwrap(), [114]);
            mend(&world);
            process.visitors(1);
            assert_eq!(process.finish(&world), [115]);
            assert_eq!(content(&world, COPY).unwrap(), [114]);
        }
    }
}

#[test]
pub(super) fn an_earlier_copy_is_never_overwritten() {
    // Of the same count it is enough, also with more zeros.
    for earlier in [&[114][..], &[114, 0, 0]] {
        let world = World::new(5);
        set_visits_bin(&world, &[114]);
        put(&world, COPY, earlier);
        let mut process = Process::start(&world);
        process.visitors(1);
        assert_eq!(process.finish(&world), [115]);
        assert_eq!(content(&world, COPY).unwrap(), earlier);
        let written = world.with(|state| state.history.count("write visits.bin.t"));
        assert_eq!(written, 0, "a copy is written once");
    }
    // Of another count it has another name.
    let world = World::new(6);
    set_visits_bin(&world, &[114]);
    put(&world, "visits.bin.taken-over-7", &[7]);
    let mut process = Process::start(&world);
    process.visitors(1);
    assert_eq!(process.finish(&world), [115]);
    assert_eq!(content(&world, "visits.bin.taken-over-7").unwrap(), [7]);
}

/// Another program may have been killed while it wrote the copy.
#[test]
fn an_unfinished_copy_is_replaced() {
    for unfinished in [&[][..], &[114]] {
        let world = World::new(10);
        set_visits_bin(&world, &[114, 0]);
        put(&world, COPY, unfinished);
        let mut process = Process::start(&world);
        process.visitors(1);
        assert_eq!(process.finish(&world), [115]);
        assert_eq!(content(&world, COPY).unwrap(), [114, 0]);
    }
}

#[test]
pub(super) fn anything_else_with_the_name_of_a_copy_refuses_the_start_and_the_probe() {
    let mut too_long = vec![0; record::MAX_LENGTH + 1];
    too_long[0] = 114;
    for other in [&b"somebody's notes"[..], &[114, 5], &too_long] {
        let world = World::new(7);
        set_visits_bin(&world, &[114]);
        put(&world, COPY, other);
        let mut process = Process::start(&world);
        process.visitors(1);
        process.run(&world);
        let errors = process.errors();
        assert!(errors[0].contains("move it away"), "{errors:?}");
        assert_eq!(process.probe(&world).unwrap_err().1, errors[0]);
        assert!(other.starts_with(&content(&world, COPY).unwrap()));
        assert_eq!(names(&world), ["visits.bin", COPY]);
    }
    let world = World::new(8);
    set_visits_bin(&world, &[114]);
    put(&world, COPY, &[114]);
    fail(&world, "read visits.bin.t", FsErrorKind::Denied);
    let mut process = Process::start(&world);
    process.visitors(1);
    process.run(&world);
    let errors = process.errors();
    assert!(
        errors[0].starts_with(&format!("cannot read {COPY}")),
        "{errors:?}"
    );
}

#[test]
fn a_file_that_is_longer_than_any_count_is_refused_and_kept() {
    let world = World::new(9);
    set_visits_bin(&world, &vec![0; record::MAX_LENGTH + 1]);
    let mut process = Process::start(&world);
    let (refusal, line) = process.probe(&world).unwrap_err();
    assert_eq!(refusal, Refusal::NotACount);
    assert!(line.contains("longer than 2097152 bytes"), "{line}");
    process.visitors(1);
    assert_eq!(process.finish(&world), NOBODY);
    assert_eq!(names(&world), ["visits.bin"]);
}

#[test]
pub(super) fn starters_that_race_keep_one_copy_and_report_once() {
    each_seed(SEEDS, |seed, seen| {
        let world = World::new(seed);
        set_visits_bin(&world, &[114, 0, 0, 0, 0, 0, 0, 0, 0]);
        let mut processes = Process::start_many(&world, 4);
        for process in &mut processes {
            process.visitors(2);
        }
        run_together(&world, &mut processes);
        assert!(processes[0].probe(&world).is_ok());
        assert_eq!(names(&world), [".visits", "visits.bin", COPY]);
        assert_eq!(content(&world, COPY).unwrap().len(), 9);
        assert_eq!(published(&world), Some(122));
        assert_eq!(reports(&world).len(), 1);
        world.with(|state| {
            let history = &state.history;
            let beaten = history.failed("rename .visits-", FsErrorKind::NotEmpty);
            seen.note("a start lost to another", beaten);
            let cleared = history.failed("rename .visits-", FsErrorKind::NotFound);
            seen.note("a preparation cleared by another", cleared);
            let writers = history.count("write visits.bin.taken-over");
            seen.note("two writers of the copy", writers > 1);
            seen.note("one writer of the copy", writers == 1);
        });
    });
}

#[test]
pub(super) fn a_power_cut_leaves_the_original_or_its_whole_copy() {
    each_seed(SEEDS, |seed, seen| {
        let world = World::new(seed);
        set_visits_bin_durably(&world, &[114, 0]);
        let mut processes = Process::start_many(&world, 2);
        for process in &mut processes {
            process.visitors(1);
        }
        steps_below(60, &world, &mut processes);
        let copied = content(&world, COPY).is_some();
        drop(processes);
        world.cut_power();
        let overwritten = content(&world, "visits.bin").unwrap() != [114, 0];
        if overwritten {
            assert_eq!(content(&world, COPY).unwrap(), [114, 0]);
        }
        seen.note("a cut after the original was overwritten", overwritten);
        seen.note("a cut before the copy", !copied);
        let unfinished = content(&world, COPY).unwrap_or_default() != [114, 0];
        seen.note(
            "a copy that the cut loses or cuts off",
            copied && unfinished,
        );
        let mut process = Process::start(&world);
        process.visitors(1);
        process.finish(&world);
        assert_eq!(content(&world, COPY).unwrap(), [114, 0]);
    });
}

#[test]
pub(super) fn a_decimal_number_as_text_is_refused_and_kept() {
    let world = World::new(8);
    set_visits_bin(&world, b"114\n");
    let mut process = Process::start(&world);
    process.visitors(1);
    assert_eq!(process.finish(&world), NOBODY);
    let (refusal, line) = process.current(&world).unwrap_err();
    assert_eq!(refusal, Refusal::NotACount);
    for part in [
        "/app/persistent/visits.bin",
        "114 as text",
        "(114).to_bytes",
    ] {
        assert!(line.contains(part), "{line}");
    }
    assert_eq!(process.probe(&world).unwrap_err().1, line);
    assert_eq!(process.errors(), [line]);
    assert_eq!(content(&world, "visits.bin").unwrap(), b"114\n");
    assert_eq!(names(&world), ["visits.bin"]);
}

#[test]
fn counting_has_a_beginning_once_there_is_a_visit() {
    let world = World::new(9);
    let mut process = Process::start(&world);
    for visits in 0..3 {
        let counter = process.counter.clone();
        let since = world.complete(&mut process.pool, async move { counter.since().await });
        assert_eq!(since.is_some(), visits > 0);
        process.visitors(1);
        process.finish(&world);
    }
}
