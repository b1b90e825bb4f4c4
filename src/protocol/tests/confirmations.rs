//! File systems that give up their journal: syncs report success and store nothing, and no change succeeds.

use super::*;
use crate::protocol::directory::FsErrorKind;
use std::collections::BTreeSet;

const SEEDS: u64 = 200;

#[test]
pub(super) fn no_visit_is_acknowledged_that_a_journal_was_given_up_with() {
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
fn instances_on_a_full_volume_confirm_each_visit_without_space() {
    each_seed(SEEDS, |seed, seen| {
        let world = World::new(seed);
        let mut processes = Process::start_many(&world, 2);
        for process in &mut processes {
            process.visitors(1);
            process.finish(&world);
        }
        world.with(|state| state.disk.full = true);
        for _ in 0..4 {
            for process in &mut processes {
                process.visitors(1);
            }
            run_together(&world, &mut processes);
        }
        for process in &processes {
            assert_eq!(process.errors(), [""; 0]);
        }
        assert_exactly(processes.iter().flat_map(Process::numbers).collect(), 10);
        world.with(|state| {
            let full = state
                .history
                .failed("create_file confirmation.", FsErrorKind::NoSpace);
            seen.note("a confirmation that finds no space", full);
        });
    });
}
