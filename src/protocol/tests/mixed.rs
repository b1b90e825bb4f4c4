//! Schedules by the hundred with everything at once: volumes taken over, requests that do not count beside those
//! that do, single processes killed while others live on, cancelled visitors, disks that report a failure once.

use super::*;
use crate::protocol::directory::FsErrorKind;
use std::collections::BTreeSet;

const SEEDS: u64 = 300;

/// What all visitors of a world were told, and how many there were.
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

    /// Takes what a process has acknowledged; it is asked once only, before it is dropped.
    #[track_caller]
    fn take(&mut self, process: &Process, seed: u64) {
        for number in process.numbers() {
            let new = self.acknowledged.insert(number);
            assert!(new, "seed {seed}: {number} given twice");
        }
    }

    /// Asserts that a fresh process finds a count between what was acknowledged and what was sent, from `first`.
    #[track_caller]
    fn check(&self, world: &World, first: u64, seed: u64) {
        let count = Process::start(world).current(world).unwrap();
        let highest = self.acknowledged.last().copied().unwrap_or(first);
        assert!(
            highest <= count && count <= first + self.sent,
            "seed {seed}: {highest} acknowledged, {count} counted, {} sent after {first}",
            self.sent
        );
        if world.with(|state| state.disk.open_dir(ROOT, ".visits").is_ok()) {
            assert_eq!(published(world), Some(count), "seed {seed}");
        }
    }
}

/// A request that does not count, running beside the others.
fn ask(process: &Process, what: u64) {
    let counter = process.counter.clone();
    let question = async move {
        match what {
            0 => drop(counter.current().await),
            1 => drop(counter.probe().await),
            _ => drop(counter.since().await),
        }
    };
    process.pool.spawner().spawn_local(question).unwrap();
}

fn step_all(world: &World, processes: &mut [Process]) {
    processes.iter_mut().for_each(|p| world.poll(&mut p.pool));
    world.step();
    processes.iter_mut().for_each(|p| world.poll(&mut p.pool));
}

#[test]
fn a_count_that_was_taken_over_survives_power_cuts_whoever_asks_meanwhile() {
    for seed in 0..SEEDS {
        let world = World::new(seed);
        set_visits_bin(&world, &[255]);
        world
            .with(|state| state.disk.sync_file(ROOT, record::FILE))
            .unwrap();
        world.with(|state| state.disk.sync(ROOT)).unwrap();
        let mut tally = Tally::default();
        for _ in 0..3 {
            let mut processes: Vec<_> = (0..3).map(|_| Process::start(&world)).collect();
            for process in &mut processes {
                let visitors = world.with(|state| state.below(3));
                tally.send(process, visitors);
                ask(process, world.with(|state| state.below(3)));
            }
            for _ in 0..world.with(|state| state.below(120)) {
                step_all(&world, &mut processes);
            }
            processes.iter().for_each(|p| tally.take(p, seed));
            drop(processes);
            world.cut_power();
            tally.check(&world, 255, seed);
        }
    }
}

#[test]
fn processes_killed_one_by_one_beside_others_lose_and_double_nothing() {
    for seed in 0..SEEDS {
        let world = World::new(seed);
        let mut tally = Tally::default();
        for _ in 0..3 {
            let mut processes: Vec<_> = (0..4).map(|_| Process::start(&world)).collect();
            for _ in 0..world.with(|state| state.below(12)) {
                for _ in 0..world.with(|state| state.below(30)) {
                    step_all(&world, &mut processes);
                }
                let process = &mut processes[world.with(|state| state.below(4)) as usize];
                match world.with(|state| state.below(8)) {
                    0..=3 => {
                        let visitors = world.with(|state| state.below(4));
                        tally.send(process, visitors);
                    }
                    4 => ask(process, 0),
                    5 => ask(process, 1),
                    // Killed; its calls that are under way take effect all the same.
                    6 => {
                        tally.take(process, seed);
                        *process = Process::start(&world);
                    }
                    // All its requests are cancelled; the instance lives on.
                    _ => process.pool = LocalPool::new(),
                }
            }
            for process in &mut processes {
                let before = process.told.borrow().len();
                tally.send(process, 1);
                world.run(&mut process.pool, LONG);
                assert!(
                    process.told.borrow().len() > before,
                    "seed {seed}: waits for ever"
                );
            }
            processes.iter().for_each(|p| tally.take(p, seed));
            drop(processes);
            match world.with(|state| state.below(2)) {
                0 => world.settle(),
                _ => world.cut_power(),
            }
            tally.check(&world, 0, seed);
        }
    }
}

#[test]
fn a_failure_that_the_disk_reports_once_stops_the_commit_beside_the_one_it_was_told_to() {
    for seed in 0..SEEDS {
        let world = World::new(seed);
        let mut process = Process::start(&world);
        process.visitors(1);
        process.finish(&world);
        process.visitors(1);
        ask(&process, 1);
        world.with(|state| state.one_fault = Some(("sync", FsErrorKind::Io)));
        // Two syncs are under way side by side; whoever is told, nobody is acknowledged after it.
        let mut told = 1;
        while world.with(|state| state.one_fault.is_some()) {
            world.poll(&mut process.pool);
            told = process.numbers().len();
            assert!(world.step(), "seed {seed}: no sync");
        }
        world.run(&mut process.pool, LONG);
        assert_eq!(process.numbers().len(), told, "seed {seed}");
        assert!(process.probe(&world).is_err(), "seed {seed}");
    }
}
