//! Schedules by the hundred: races of instances, kills, power cuts, cancelled leaders.

use super::*;
use std::collections::BTreeSet;

const SEEDS: u64 = 400;

#[test]
fn instances_that_race_from_the_first_start_count_every_visit_once() {
    for seed in 0..SEEDS {
        let world = World::new(seed);
        let mut processes: Vec<_> = (0..5).map(|_| Process::start(&world)).collect();
        for process in &mut processes {
            process.visitors(7);
        }
        run_together(&world, &mut processes);
        for process in &processes {
            assert_eq!(process.errors(), [""; 0], "seed {seed}");
        }
        let numbers: Vec<u64> = processes.iter().flat_map(Process::numbers).collect();
        assert_exactly(numbers, 35, seed);
        assert_eq!(published(&world), Some(35), "seed {seed}");
        assert_eq!(tickets(&world), ["ticket.35"], "seed {seed}");
        assert!(processes[0].probe(&world).is_ok());
        let names = world.with(|state| state.disk.names(ROOT));
        assert_eq!(names, [".visits", "visits.bin"], "seed {seed}");
    }
}

#[test]
fn no_acknowledged_visit_is_lost_or_given_twice_over_kills_and_power_cuts() {
    for seed in 0..SEEDS {
        let world = World::new(seed);
        let mut acknowledged = BTreeSet::new();
        let mut sent = 0;
        for round in 0..6 {
            let mut processes: Vec<_> = (0..2).map(|_| Process::start(&world)).collect();
            for process in &mut processes {
                let visitors = 1 + world.with(|state| state.below(6)) as usize;
                process.visitors(visitors);
                sent += visitors as u64;
            }
            let steps = world.with(|state| state.below(90));
            for _ in 0..steps {
                processes.iter_mut().for_each(|p| world.poll(&mut p.pool));
                world.step();
            }
            for process in &mut processes {
                world.poll(&mut process.pool);
            }
            for number in processes.iter().flat_map(Process::numbers) {
                assert!(acknowledged.insert(number), "seed {seed}: {number} twice");
            }
            drop(processes);
            if round % 2 == 0 {
                world.settle();
            } else {
                world.cut_power();
            }
            let count = Process::start(&world).current(&world).unwrap();
            let highest = acknowledged.last().copied().unwrap_or(0);
            assert!(
                highest <= count,
                "seed {seed}: {highest} acknowledged, count {count}"
            );
            assert!(count <= sent, "seed {seed}: {sent} sent, count {count}");
        }
    }
}

#[test]
fn a_leader_whose_request_is_cancelled_leaves_nobody_waiting() {
    for seed in 0..SEEDS {
        let world = World::new(seed);
        let mut process = Process::start(&world);
        // One visitor a pool: dropping its pool cancels that visitor, and the leader if it runs there.
        let mut pools: Vec<_> = (0..6).map(|_| LocalPool::new()).collect();
        for pool in &mut pools {
            process.visitors(1);
            std::mem::swap(pool, &mut process.pool);
            world.poll(pool);
        }
        for _ in 0..3 {
            for _ in 0..world.with(|state| state.below(12)) {
                pools.iter_mut().for_each(|pool| world.poll(pool));
                world.step();
            }
            let which = world.with(|state| state.below(pools.len() as u64)) as usize;
            drop(pools.remove(which));
        }
        let mut steps = 0;
        while Rc::strong_count(&process.told) > 1 {
            pools.iter_mut().for_each(|pool| world.poll(pool));
            world.step();
            steps += 1;
            assert!(steps < 10_000, "seed {seed}: somebody waits for ever");
        }
        let numbers = process.numbers();
        let distinct: BTreeSet<_> = numbers.iter().collect();
        assert_eq!(distinct.len(), numbers.len(), "seed {seed}: {numbers:?}");
        let count = process.current(&world).unwrap();
        assert!(count <= 6, "seed {seed}: {count}");
        assert!(
            numbers.iter().all(|n| *n <= count),
            "seed {seed}: {numbers:?} of {count}"
        );
    }
}
