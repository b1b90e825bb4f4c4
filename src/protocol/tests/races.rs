//! Many schedules of races, kills, power cuts, and leaders that are cancelled or stalled.

use super::*;
use crate::protocol::directory::FsErrorKind;
use std::collections::BTreeSet;

const SEEDS: u64 = 400;

#[test]
pub(super) fn instances_that_race_from_the_first_start_count_every_visit_once() {
    each_seed(SEEDS, |seed, seen| {
        let world = World::new(seed);
        let mut processes = Process::start_many(&world, 5);
        for process in &mut processes {
            process.visitors(7);
        }
        run_together(&world, &mut processes);
        for process in &processes {
            assert_eq!(process.errors(), [""; 0]);
        }
        assert_exactly(processes.iter().flat_map(Process::numbers).collect(), 35);
        assert_eq!(published(&world), Some(35));
        assert_eq!(tickets(&world), ["ticket.35"]);
        assert!(processes[0].probe(&world).is_ok());
        assert_eq!(names(&world), [".visits", "visits.bin"]);
        world.with(|state| {
            let history = &state.history;
            for (schedule, call, kind) in [
                (
                    "a claim lost to another",
                    "rename ticket.",
                    FsErrorKind::NotFound,
                ),
                (
                    "a start lost to another",
                    "rename .visits-",
                    FsErrorKind::NotEmpty,
                ),
                (
                    "a preparation cleared by another",
                    "rename .visits-",
                    FsErrorKind::NotFound,
                ),
            ] {
                seen.note(schedule, history.failed(call, kind));
            }
            seen.note("a listing during a rename", history.torn_listings > 0);
        });
    });
}

#[test]
pub(super) fn no_acknowledged_visit_is_lost_or_given_twice_over_kills_and_power_cuts() {
    each_seed(SEEDS, |seed, seen| {
        let world = World::new(seed);
        let mut acknowledged = BTreeSet::new();
        let mut sent = 0;
        for round in 0..6 {
            let mut processes = Process::start_many(&world, 2);
            for process in &mut processes {
                let visitors = 1 + world.with(|state| state.below(6)) as usize;
                process.visitors(visitors);
                sent += visitors as u64;
            }
            steps_below(60, &world, &mut processes);
            // An instance that has counted claims otherwise than a new one.
            for process in &mut processes {
                process.visitors(1);
                sent += 1;
            }
            steps_below(60, &world, &mut processes);
            for number in processes.iter().flat_map(Process::numbers) {
                assert!(acknowledged.insert(number), "{number} twice");
            }
            processes.iter().for_each(|p| p.note_kill(&world, seen));
            drop(processes);
            if round % 2 == 0 {
                world.settle();
            } else {
                world.cut_power();
            }
            let count = Process::start(&world).current(&world).unwrap();
            let highest = acknowledged.last().copied().unwrap_or(0);
            assert!(highest <= count, "{highest} acknowledged, count {count}");
            assert!(count <= sent, "{sent} sent, count {count}");
            seen.note("a visit counted and not acknowledged", highest < count);
        }
        world.with(|state| {
            let history = &state.history;
            seen.note("a call that outlives its caller", history.late_calls > 0);
            seen.note("a power cut that loses something", history.lossy_cuts > 0);
            let lost = history.failed("rename ticket.", FsErrorKind::NotFound);
            seen.note("a claim lost to another", lost);
        });
    });
}

#[test]
pub(super) fn a_leader_whose_request_is_cancelled_leaves_nobody_waiting() {
    each_seed(SEEDS, |seed, seen| {
        let world = World::new(seed);
        let mut process = Process::start(&world);
        // One pool per visitor: dropping it cancels that visitor, and the leader if it runs there.
        let mut pools: Vec<_> = (0..6).map(|id| (id, LocalPool::new())).collect();
        for (_, pool) in &mut pools {
            process.visitors(1);
            std::mem::swap(pool, &mut process.pool);
            world.poll(pool);
        }
        // The first visitor leads. Until it has claimed for the others, they need a successor.
        let mut needs_successor = false;
        for _ in 0..3 {
            for _ in 0..world.with(|state| state.below(12)) {
                pools.iter_mut().for_each(|(_, pool)| world.poll(pool));
                world.step();
            }
            let which = world.with(|state| state.below(pools.len() as u64)) as usize;
            let (id, pool) = pools.remove(which);
            drop(pool);
            needs_successor |= id == 0 && process.answered() == 0;
        }
        while Rc::strong_count(&process.outcomes) > 1 {
            pools.iter_mut().for_each(|(_, pool)| world.poll(pool));
            world.step();
        }
        let numbers = process.numbers();
        if let Some(highest) = numbers.iter().max() {
            assert!(published(&world) >= Some(*highest), "{numbers:?}");
        }
        let distinct: BTreeSet<_> = numbers.iter().collect();
        assert_eq!(distinct.len(), numbers.len(), "{numbers:?}");
        let interrupted = process.errors().iter().any(|it| it.contains("cancelled"));
        seen.note("a leader cancelled with a batch of others", interrupted);
        let log = world.with(|state| state.log.clone());
        let logged = log.iter().any(|it| it.starts_with("visits not counted"));
        assert!(logged || !interrupted, "{log:?}");
        let succeeded = needs_successor && !numbers.is_empty();
        seen.note("a leader cancelled and succeeded", succeeded);
        let count = process.current(&world).unwrap();
        let cancelled_and_counted = count > numbers.len() as u64;
        seen.note("a visitor cancelled and counted", cancelled_and_counted);
        assert!(count <= 6, "{count}");
        assert!(
            numbers.iter().all(|n| *n <= count),
            "{numbers:?} of {count}"
        );
    });
}

#[test]
pub(super) fn a_volume_that_hangs_at_any_moment_loses_and_doubles_nothing() {
    each_seed(SEEDS / 4, |seed, seen| {
        let world = World::new(seed);
        let mut process = Process::start(&world);
        process.visitors(1);
        process.finish(&world);
        for _ in 0..4 {
            process.visitors(3);
            steps_below(12, &world, std::slice::from_mut(&mut process));
            let under_way = process.answered() < process.sent;
            let progress = world.with(|state| state.history.progress(process.instance));
            for (schedule, at) in [
                ("a leader stalled before its claim", None),
                ("a leader stalled at its sync", Some(Progress::Claimed)),
                ("a leader stalled at publishing", Some(Progress::Synced)),
            ] {
                seen.note(schedule, under_way && progress == at);
            }
            world.hang(true);
            process.visitors(1);
            process.run(&world);
            assert_eq!(process.answered(), process.sent, "a visitor waits for ever");
            let stalled_at = world.now();
            let overdue = process.current(&world).unwrap_err().1;
            assert!(overdue.contains("has not answered"), "{overdue}");
            assert_eq!(
                world.now(),
                stalled_at,
                "a request waits although one is overdue"
            );
            world.hang(false);
            process.run(&world);
        }
        process.visitors(1);
        let numbers = process.finish(&world);
        let distinct: BTreeSet<_> = numbers.iter().collect();
        assert_eq!(distinct.len(), numbers.len(), "{numbers:?}");
        let last = numbers.last().copied();
        assert_eq!(distinct.last().copied().copied(), last, "{numbers:?}");
        assert!(last <= Some(process.sent as u64), "{numbers:?}");
        assert_eq!(published(&world), last);
    });
}

#[test]
pub(super) fn a_start_by_an_instance_that_has_counted_survives_a_power_cut() {
    each_seed(SEEDS / 4, |seed, seen| {
        let world = World::new(seed);
        let mut process = Process::start(&world);
        process.visitors(5);
        process.finish(&world);
        // An operator removes the ticket, so that counting starts anew from `visits.bin`.
        let ticket = ticket(&world);
        world.with(|state| {
            let private = state.disk.open_dir(ROOT, ".visits").unwrap();
            state.disk.remove_file(private, &ticket).unwrap();
            state.disk.sync(private).unwrap();
        });
        process.visitors(1);
        assert_eq!(process.finish(&world).last(), Some(&6));
        world.cut_power();
        let lossy = world.with(|state| state.history.lossy_cuts > 0);
        seen.note("a power cut that loses something", lossy);
        assert_eq!(Process::start(&world).current(&world), Ok(6));
    });
}
