//! A refused visit is not counted, and the probe refuses if and only if a visit would be refused.

use super::*;
use crate::protocol::directory::FsErrorKind::{self, *};
use crate::protocol::simulated::disk::Disk;

const SEEDS: u64 = 20;

/// Something that prevents counting until it is taken away.
#[derive(Clone, Copy, Debug)]
enum Obstacle {
    /// A call fails.
    Fault(&'static str, FsErrorKind),
    /// A directory takes the place of `visits.bin`.
    Directory,
    /// `visits.bin` is gone and there is no space for another.
    MissingOnFull,
    /// `visits.bin` is empty and there is no space for its bytes.
    EmptyOnFull,
}
use Obstacle::*;

/// Obstacles that opening shows, to an instance that has counted as well as to a new one.
const LASTING: [Obstacle; 12] = [
    Fault("open_file visits.bin", Denied),
    Fault("open_file visits.bin", NotPermitted),
    Fault("open_file visits.bin", ReadOnly),
    Fault("open_file visits.bin", Io),
    Fault("open_file visits.bin", Other),
    Fault("rename", ReadOnly),
    Fault("rename", NoSpace),
    Fault("open_dir .visits", Denied),
    Fault("open_dir .visits", NotADirectory),
    Directory,
    MissingOnFull,
    EmptyOnFull,
];

/// Obstacles that only a write shows.
const HIDDEN: [Obstacle; 3] = [
    Fault("write", NoSpace),
    Fault("write", Io),
    Fault("write", NotPermitted),
];

impl Obstacle {
    fn put(self, world: &World) {
        world.with(|state| match self {
            Fault(call, kind) => state.faults.push((call, kind)),
            Directory => {
                state.disk.remove_file(ROOT, record::FILE).unwrap();
                state.disk.create_dir(ROOT, record::FILE).unwrap();
            }
            MissingOnFull => {
                state.disk.remove_file(ROOT, record::FILE).unwrap();
                state.disk.full = true;
            }
            EmptyOnFull => {
                empty(&mut state.disk);
                state.disk.full = true;
            }
        });
    }

    /// Asserts that a call has met the obstacle, so that its test has tested something.
    #[track_caller]
    fn assert_met(self, world: &World) {
        let (call, kind) = match self {
            Fault(call, kind) => (call, kind),
            Directory => ("open_file visits.bin", Other),
            MissingOnFull => ("open_file visits.bin", NoSpace),
            EmptyOnFull => ("write visits.bin", NoSpace),
        };
        let met = world.with(|state| state.history.failed(call, kind));
        assert!(met, "no call has met {self:?}");
    }

    fn take_away(self, world: &World) {
        world.with(|state| match self {
            Fault(..) => state.faults.clear(),
            Directory => state.disk.remove_dir(ROOT, record::FILE).unwrap(),
            MissingOnFull | EmptyOnFull => state.disk.full = false,
        });
    }
}

fn empty(disk: &mut Disk) {
    let file = disk.open_file(ROOT, record::FILE, false).unwrap();
    disk.truncate(file, 0).unwrap();
}

/// Asserts that `process` refuses three batches without counting, and the probe with the same error.
#[track_caller]
fn refuses_without_counting(process: &mut Process, world: &World, what: &str) {
    let counted = tickets(world);
    for _ in 0..3 {
        let before = process.errors().len();
        process.visitors(2);
        process.run(world);
        let errors = process.errors();
        assert_eq!(errors.len(), before + 2, "{what}");
        assert_eq!(tickets(world), counted, "{what}: a refused visit counted");
        let (_, line) = process.probe(world).expect_err(what);
        assert_eq!(line, errors[before], "{what}");
        assert_eq!(tickets(world), counted, "{what}: a probe counted");
    }
}

#[track_caller]
fn counts_again(process: &mut Process, world: &World, expected: u64, what: &str) {
    assert_eq!(process.probe(world), Ok(()), "{what}");
    process.visitors(1);
    let numbers = process.finish(world);
    assert_eq!(numbers.last(), Some(&expected), "{what}");
    assert_eq!(published(world), Some(expected), "{what}");
}

#[test]
pub(super) fn a_lasting_obstacle_refuses_visits_and_probes_and_leaves_the_count_alone() {
    each_seed(SEEDS, |seed, seen| {
        for obstacle in LASTING {
            for restarted in [false, true] {
                let what = format!("{obstacle:?}, restarted: {restarted}");
                let world = World::new(seed);
                let mut process = Process::start(&world);
                process.visitors(3);
                process.finish(&world);
                if restarted {
                    process = Process::start(&world);
                }
                obstacle.put(&world);
                // A rename is the claim itself. The probe makes another call, which the fault does not hit.
                if !matches!(obstacle, Fault("rename", _)) {
                    refuses_without_counting(&mut process, &world, &what);
                } else {
                    process.visitors(2);
                    process.run(&world);
                    assert_eq!(process.numbers().len() % 3, 0, "{what}");
                    assert_eq!(tickets(&world), ["ticket.3"], "{what}");
                }
                obstacle.assert_met(&world);
                seen.note("an obstacle before a restart", restarted);
                seen.note("an obstacle in a running instance", !restarted);
                obstacle.take_away(&world);
                counts_again(&mut process, &world, 4, &what);
            }
        }
    });
}

#[test]
pub(super) fn an_obstacle_that_only_a_write_shows_counts_one_batch_at_most_and_none_after_a_restart()
 {
    each_seed(SEEDS, |seed, seen| {
        for obstacle in HIDDEN {
            let what = format!("{obstacle:?}");
            let world = World::new(seed);
            let mut process = Process::start(&world);
            process.visitors(3);
            process.finish(&world);
            obstacle.put(&world);
            let mut restarted = Process::start(&world);
            refuses_without_counting(&mut restarted, &world, &what);
            obstacle.assert_met(&world);
            process.visitors(2);
            process.run(&world);
            assert_eq!(process.errors().len(), 2, "{what}");
            assert_eq!(tickets(&world), ["ticket.5"], "{what}");
            seen.note("a batch counted and refused", true);
            refuses_without_counting(&mut process, &world, &what);
            obstacle.take_away(&world);
            counts_again(&mut process, &world, 6, &what);
        }
    });
}

#[test]
pub(super) fn an_obstacle_that_comes_and_goes_under_load_counts_only_what_was_under_way() {
    each_seed(SEEDS * 10, |seed, seen| {
        let world = World::new(seed);
        let mut process = Process::start(&world);
        let pick = world.with(|state| state.below(LASTING.len() as u64 - 3)) as usize;
        let obstacle = LASTING[pick];
        for _ in 0..4 {
            process.visitors(5);
            for _ in 0..world.with(|state| state.below(40)) {
                world.run(&mut process.pool, 1);
                if world.with(|state| state.below(3)) == 0 {
                    process.visitors(1);
                }
            }
            let acknowledged = process.numbers().len();
            let refused = process.errors().len();
            let progress = world.with(|state| state.history.progress(process.instance));
            seen.note("an obstacle during a claimed batch", progress.is_some());
            obstacle.put(&world);
            // A batch that was claimed before is finished, through the file that was open, or refused.
            process.run(&world);
            let finished = process.numbers().len() > acknowledged;
            seen.note("a batch finished behind the obstacle", finished);
            let stopped = process.errors().len() > refused;
            seen.note("a batch refused by the obstacle", stopped);
            let what = format!("{obstacle:?}, {} acknowledged", process.numbers().len());
            let has_started = started(&world);
            seen.note("an obstacle before the first start", !has_started);
            if has_started {
                let counted = tickets(&world);
                process.visitors(3);
                process.run(&world);
                assert_eq!(tickets(&world), counted, "{what}");
            }
            obstacle.take_away(&world);
            assert_eq!(process.answered(), process.sent, "{what}");
        }
        process.visitors(1);
        let last = process.finish(&world).last().copied();
        assert_eq!(published(&world), last);
    });
}

#[test]
pub(super) fn a_full_volume_refuses_its_first_visit_as_its_probe_does() {
    for bytes in [None, Some(&b""[..]), Some(&[114]), Some(&[9; 8])] {
        let world = World::new(3);
        if let Some(bytes) = bytes {
            set_visits_bin(&world, bytes);
        }
        world.with(|state| state.disk.full = true);
        let before = names(&world);
        let mut process = Process::start(&world);
        process.visitors(2);
        process.run(&world);
        assert_eq!(process.errors().len(), 2, "{bytes:?}");
        assert_eq!(
            process.probe(&world).unwrap_err().1,
            process.errors()[0],
            "{bytes:?}"
        );
        assert_eq!(names(&world), before, "{bytes:?}");
    }
}

#[test]
pub(super) fn a_count_without_a_next_number_refuses_visits_and_probes() {
    let world = World::new(4);
    set_visits_bin(&world, &u64::MAX.to_le_bytes());
    let mut process = Process::start(&world);
    assert_eq!(process.probe(&world).unwrap_err().0, Refusal::NotACount);
    process.visitors(1);
    assert_eq!(process.finish(&world), NOBODY);
    assert_eq!(process.probe(&world).unwrap_err().0, Refusal::NotACount);
}

#[test]
fn a_claim_that_others_win_for_five_seconds_is_refused() {
    let world = World::new(5);
    let mut process = Process::start(&world);
    process.visitors(1);
    process.finish(&world);
    fail(&world, "rename ticket.", NotFound);
    let before = world.now();
    process.visitors(1);
    process.run(&world);
    let refused = process.errors();
    assert!(
        refused[0].contains("faster than this instance"),
        "{refused:?}"
    );
    let waited = (world.now() - before).as_secs_f64();
    assert!((5.0..6.0).contains(&waited), "{waited} s");
    mend(&world);
    process.visitors(1);
    assert_eq!(process.finish(&world), [1, 2]);
}

#[test]
fn a_refusal_has_the_cause_of_the_failed_call() {
    let world = World::new(6);
    let mut process = Process::start(&world);
    fail(&world, "create_dir", Denied);
    process.visitors(1);
    process.run(&world);
    let refused = process.errors();
    assert_eq!(
        refused,
        ["cannot create .visits in /app/persistent: Denied"]
    );
}
