//! File systems that give up their journal: syncs report success and store nothing, and no change succeeds.

use super::*;
use crate::protocol::directory::FsErrorKind;
use std::collections::BTreeSet;

const SEEDS: u64 = 200;

#[test]
pub(super) fn no_visit_is_acknowledged_after_the_journal_was_given_up() {
    each_seed(SEEDS, |seed, seen| {
        let world = World::new(seed);
        let mut acknowledged = BTreeSet::new();
        let mut sent = 0;
        for _ in 0..4 {
            let mut processes = Process::start_many(&world, 2);
            // The first start is not what is tried here.
            processes[0].visitors(1);
            sent += 1;
            processes[0].run(&world);
            for _ in 0..3 {
                for process in &mut processes {
                    let visitors = world.with(|state| state.below(3)) as usize;
                    process.visitors(visitors);
                    sent += visitors as u64;
                }
                steps_below(40, &world, &mut processes);
            }
            let claimed = processes.iter().any(|process| {
                let progress = world.with(|state| state.history.progress(process.instance));
                progress == Some(Progress::Claimed) && process.answered() < process.sent
            });
            seen.note("a journal given up between a claim and its sync", claimed);
            world.with(|state| state.disk.aborted = true);
            let refused = errors(&processes);
            run_together(&world, &mut processes);
            seen.note("a visit refused", errors(&processes) > refused);
            for number in processes.iter().flat_map(Process::numbers) {
                assert!(acknowledged.insert(number), "{number} twice");
            }
            drop(processes);
            world.cut_power();
            let count = Process::start(&world).current(&world).unwrap();
            let highest = acknowledged.last().copied().unwrap_or(0);
            assert!(highest <= count, "{highest} acknowledged, count {count}");
            assert!(count <= sent, "{sent} sent, count {count}");
        }
        world.with(|state| {
            let failed = state.history.failed("rename again", FsErrorKind::Io);
            seen.note("a ticket that cannot be renamed", failed);
            let failed = state.history.failed("create_file conf", FsErrorKind::Io);
            seen.note("a confirmation after another's claim that fails", failed);
            let lossy = state.history.lossy_cuts > 0;
            seen.note("a journal given up that loses something", lossy);
        });
    });
}

fn errors(processes: &[Process]) -> usize {
    processes.iter().map(|it| it.errors().len()).sum()
}

#[test]
pub(super) fn instances_on_a_full_volume_confirm_each_visit_without_space() {
    each_seed(SEEDS, |seed, seen| {
        let world = World::new(seed);
        let inodes_left = seed % 2 == 0;
        let mut processes = Process::start_many(&world, 2);
        // The last claim of the first instance is made alone, so the next one is written without a look.
        for index in [1, 0, 0] {
            processes[index].visitors(1);
            processes[index].finish(&world);
        }
        world.with(|state| {
            (state.disk.full, state.disk.inodes_left) = (true, inodes_left);
        });
        for round in 1..=4 {
            for process in &mut processes {
                process.visitors(1);
            }
            run_to_rest(&world, &mut processes);
            assert_eq!(published(&world), Some(3 + 2 * round));
        }
        for process in &processes {
            assert_eq!(process.errors(), [""; 0]);
        }
        assert_exactly(processes.iter().flat_map(Process::numbers).collect(), 11);
        world.with(|state| {
            let history = &state.history;
            let full = history.failed("create_file confirmation.", FsErrorKind::NoSpace);
            seen.note("a confirmation that finds no space", full);
            let confirmed = inodes_left && history.count("create_file confirmation.") > 0;
            seen.note(
                "a confirmation by an empty file on a full volume",
                confirmed,
            );
        });
    });
}

/// An instance that has claimed alone lets others claim, and has no claim of its own that would confirm its sync.
#[test]
fn a_journal_that_is_given_up_at_the_end_of_a_turn_acknowledges_nothing() {
    each_seed(SEEDS, |seed, seen| {
        let world = World::new(seed);
        let mut process = Process::start(&world);
        process.visitors(1);
        process.finish(&world);
        create_beside_ticket(&world, "waiting", b"");
        let mut turn_over = false;
        for _ in 0..60 {
            process.visitors(1);
            world.run(&mut process.pool, 1);
            turn_over = !tickets(&world).contains(&"waiting".to_owned());
            if turn_over {
                break;
            }
        }
        let sound = process.numbers().len();
        world.with(|state| state.disk.aborted = true);
        process.run(&world);
        seen.note("a turn that ends", turn_over);
        let more = process.numbers().len() > sound;
        world.cut_power();
        let count = Process::start(&world).current(&world).unwrap();
        let highest = process.numbers().into_iter().max().unwrap();
        assert!(highest <= count, "{highest} acknowledged, count {count}");
        seen.note("a batch that was durable is answered", more);
    });
}

#[test]
fn a_confirmation_that_a_kill_has_left_goes_with_the_next_look() {
    let world = World::new(3);
    let mut process = Process::start(&world);
    process.visitors(2);
    process.finish(&world);
    create_beside_ticket(&world, "confirmation.1-0000000000000001", b"");
    assert_eq!(Process::start(&world).current(&world), Ok(2));
    assert_eq!(tickets(&world), ["ticket.2"]);
}

/// An operator may have removed the private directory, and a claim would start counting anew.
#[test]
fn a_confirmation_that_is_refused_is_an_error_and_no_other_claim() {
    let world = World::new(8);
    let mut process = Process::start(&world);
    process.visitors(1);
    process.finish(&world);
    world.with(|state| state.one_fault = Some(("rename again", FsErrorKind::NotFound)));
    fail(&world, "create_file confirmation.", FsErrorKind::Denied);
    process.visitors(1);
    assert_eq!(process.finish(&world), [1]);
    let refused = process.errors();
    assert!(
        refused[0].contains("cannot create .visits/confirmation."),
        "{refused:?}"
    );
    mend(&world);
    process.visitors(1);
    assert_eq!(process.finish(&world), [1, 3]);
}
