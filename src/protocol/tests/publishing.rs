//! Instances that write `visits.bin` at the same time: whose write lands last must not matter.

use super::*;
use crate::protocol::directory::FsErrorKind;

const SEEDS: u64 = 400;

/// The writes to `visits.bin` that a test has seen.
#[derive(Debug, Default)]
struct Writes {
    highest: u64,
    /// How often a write replaced a higher number.
    late: usize,
    last: u64,
}

impl Writes {
    /// Looks at `visits.bin`, and asserts that every acknowledged number has been in it.
    #[track_caller]
    fn look(&mut self, world: &World, processes: &[Process]) {
        let now = content(world, record::FILE).map_or(0, |bytes| record::decode(&bytes).unwrap());
        self.late += usize::from(now < self.last);
        self.last = now;
        self.highest = self.highest.max(now);
        for number in processes.iter().flat_map(Process::numbers) {
            let highest = self.highest;
            assert!(
                number <= highest,
                "{number} acknowledged, {highest} published"
            );
        }
    }
}

/// Runs the processes for a while in which visitors keep coming, so that batches follow each other.
fn visitors_keep_coming(world: &World, processes: &mut [Process], writes: &mut Writes) {
    for _ in 0..world.with(|state| state.below(60)) {
        if world.with(|state| state.below(3)) == 0 {
            let process = world.with(|state| state.below(3)) as usize;
            processes[process].visitors(1);
        }
        step(world, processes);
        writes.look(world, processes);
    }
}

#[test]
fn a_late_write_never_stays_once_everybody_is_answered() {
    each_seed(SEEDS, |seed, seen| {
        let world = World::new(seed);
        let mut processes = Process::start_many(&world, 3);
        let mut writes = Writes::default();
        let mut late_and_answered = false;
        for _ in 0..3 {
            visitors_keep_coming(&world, &mut processes, &mut writes);
            let late = writes.late;
            while processes.iter().any(|p| p.answered() < p.sent) {
                step(&world, &mut processes);
                writes.look(&world, &processes);
            }
            late_and_answered |= writes.late > late;
            let counted: u64 = processes.iter().map(|p| p.sent as u64).sum();
            assert_eq!(published(&world).unwrap_or(0), counted);
        }
        assert_exactly(
            processes.iter().flat_map(Process::numbers).collect(),
            processes.iter().map(|p| p.sent as u64).sum(),
        );
        world.with(|state| {
            let history = &state.history;
            let (writes, looks) = (history.count("write"), history.count("modified"));
            seen.note(
                "a write that another follows without a look",
                looks < writes,
            );
        });
        seen.note("a late write", writes.late > 0);
        seen.note("a late write before the last answer", late_and_answered);
    });
}

#[test]
fn a_late_write_never_stays_if_the_batch_after_it_fails() {
    // Many, because the schedule in which only the last look mends `visits.bin` is rare.
    each_seed(SEEDS * 8, |seed, seen| {
        let world = World::new(seed);
        let mut processes = Process::start_many(&world, 3);
        let mut writes = Writes::default();
        for _ in 0..3 {
            visitors_keep_coming(&world, &mut processes, &mut writes);
            let call = ["sync", "rename ticket."][world.with(|state| state.below(2)) as usize];
            world.with(|state| state.one_fault = Some((call, FsErrorKind::Io)));
            // The visitors of a failed batch do not wait for what it leaves to do.
            run_to_rest(&world, &mut processes);
            writes.look(&world, &processes);
            let acknowledged = processes.iter().flat_map(Process::numbers).max();
            assert!(
                acknowledged.unwrap_or(0) <= writes.last,
                "{acknowledged:?}, {writes:?}"
            );
        }
        let failed = |call| world.with(|state| state.history.failed(call, FsErrorKind::Io));
        seen.note("a failed sync", failed("sync"));
        seen.note("a failed claim", failed("rename ticket."));
        seen.note("a late write", writes.late > 0);
    });
}
