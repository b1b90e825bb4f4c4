//! Many schedules of everything at once: take-overs, requests that do not count beside visits, processes killed while
//! others live on, cancelled visitors, disks that report a failure once.

use super::*;
use crate::protocol::directory::FsErrorKind;
use std::collections::BTreeSet;

const SEEDS: u64 = 300;

/// What the visitors of a world got, and how many there were.
#[derive(Default)]
struct Tally {
    acknowledged: BTreeSet<u64>,
    sent: u64,
}

impl Tally {
    fn send(&mut self, process: &mut Process, visitors: u64) {
        process.visitors(visitors as usize);
        self.sent += visitors;
    }

    /// Takes the numbers of a process, once, before it is dropped.
    #[track_caller]
    fn take(&mut self, process: &Process) {
        for number in process.numbers() {
            let new = self.acknowledged.insert(number);
            assert!(new, "{number} given twice");
        }
    }

    /// Asserts that a new process finds a count between what was acknowledged and what was sent, from `first`.
    #[track_caller]
    fn check(&self, world: &World, first: u64) {
        let count = Process::start(world).current(world).unwrap();
        let highest = self.acknowledged.last().copied().unwrap_or(first);
        assert!(
            highest <= count && count <= first + self.sent,
            "{highest} acknowledged, {count} counted, {} sent after {first}",
            self.sent
        );
        if started(world) {
            assert_eq!(published(world), Some(count));
        }
    }
}

/// A request that does not count.
#[derive(Clone, Copy)]
enum Look {
    Current,
    Probe,
    Since,
}

impl Look {
    const ALL: [Look; 3] = [Look::Current, Look::Probe, Look::Since];

    /// Starts the request beside the others of `process`.
    fn start(self, process: &Process) {
        let counter = process.counter.clone();
        let request = async move {
            match self {
                Look::Current => drop(counter.current().await),
                Look::Probe => drop(counter.probe().await),
                Look::Since => drop(counter.since().await),
            }
        };
        process.pool.spawner().spawn_local(request).unwrap();
    }
}

#[test]
pub(super) fn a_count_that_was_taken_over_survives_power_cuts_whoever_looks_meanwhile() {
    each_seed(SEEDS, |seed, seen| {
        let world = World::new(seed);
        set_visits_bin_durably(&world, &[255]);
        let mut tally = Tally::default();
        for _ in 0..3 {
            let mut processes = Process::start_many(&world, 3);
            for process in &mut processes {
                let visitors = world.with(|state| state.below(3));
                tally.send(process, visitors);
                Look::ALL[world.with(|state| state.below(3)) as usize].start(process);
            }
            steps_below(80, &world, &mut processes);
            tally.send(&mut processes[0], 1);
            steps_below(80, &world, &mut processes);
            processes.iter().for_each(|p| tally.take(p));
            processes.iter().for_each(|p| p.note_kill(&world, seen));
            drop(processes);
            let before = started(&world);
            world.cut_power();
            seen.note("a start that the cut undoes", before && !started(&world));
            seen.note("a start that survives the cut", started(&world));
            seen.note("a cut before the start", !before);
            tally.check(&world, 255);
        }
        let lossy = world.with(|state| state.history.lossy_cuts > 0);
        seen.note("a power cut that loses something", lossy);
    });
}

#[test]
pub(super) fn processes_killed_one_by_one_beside_others_lose_and_double_nothing() {
    each_seed(SEEDS, |seed, seen| {
        let world = World::new(seed);
        let mut tally = Tally::default();
        for _ in 0..3 {
            let mut processes = Process::start_many(&world, 4);
            for _ in 0..world.with(|state| state.below(12)) {
                steps_below(30, &world, &mut processes);
                let process = &mut processes[world.with(|state| state.below(4)) as usize];
                match world.with(|state| state.below(8)) {
                    0..=3 => {
                        let visitors = world.with(|state| state.below(4));
                        tally.send(process, visitors);
                    }
                    4 => Look::Current.start(process),
                    5 => Look::Probe.start(process),
                    // It is killed. Its calls that are under way take effect all the same.
                    6 => {
                        tally.take(process);
                        let progress = world.with(|state| state.history.progress(process.instance));
                        seen.note("a leader killed with its batch", progress.is_some());
                        *process = Process::start(&world);
                    }
                    // All its requests are cancelled, and the instance lives on.
                    _ => {
                        let progress = world.with(|state| state.history.progress(process.instance));
                        seen.note("all requests of a leader cancelled", progress.is_some());
                        process.pool = LocalPool::new();
                    }
                }
            }
            for process in &mut processes {
                let before = process.answered();
                tally.send(process, 1);
                process.run(&world);
                assert!(process.answered() > before, "a visitor waits for ever");
            }
            processes.iter().for_each(|p| tally.take(p));
            drop(processes);
            match world.with(|state| state.below(2)) {
                0 => world.settle(),
                _ => world.cut_power(),
            }
            tally.check(&world, 0);
        }
        world.with(|state| {
            let history = &state.history;
            let lost = history.failed("rename ticket.", FsErrorKind::NotFound);
            seen.note("a claim lost to another", lost);
            seen.note("a call that outlives its caller", history.late_calls > 0);
        });
    });
}

#[test]
pub(super) fn a_failure_that_the_disk_reports_once_stops_the_commit_beside_the_one_that_it_hit() {
    each_seed(SEEDS, |seed, seen| {
        let world = World::new(seed);
        let mut process = Process::start(&world);
        process.visitors(1);
        process.finish(&world);
        process.visitors(1);
        Look::Probe.start(&process);
        world.with(|state| state.one_fault = Some(("sync", FsErrorKind::Io)));
        // Two syncs are under way side by side. Whichever fails, nobody gets a number after it.
        let mut acknowledged = 1;
        while world.with(|state| state.one_fault.is_some()) {
            world.poll(&mut process.pool);
            acknowledged = process.numbers().len();
            assert!(world.step(), "no sync");
        }
        process.run(&world);
        assert_eq!(process.numbers().len(), acknowledged);
        assert!(process.probe(&world).is_err());
        let refused = process.errors();
        let poisoned = |it: &String| it.contains("nothing is acknowledged until");
        seen.note(
            "the visit's sync fails",
            refused.iter().any(|it| !poisoned(it)),
        );
        seen.note("the probe's sync fails", refused.iter().any(poisoned));
    });
}
