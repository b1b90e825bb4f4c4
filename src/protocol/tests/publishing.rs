//! Instances that write `visits.bin` at the same time: whose write lands last must not matter.

use super::*;
use crate::protocol::directory::FsErrorKind;

const SEEDS: u64 = 400;

/// What `visits.bin` was seen to hold.
#[derive(Debug, Default)]
struct Writes {
    last: u64,
}

impl Writes {
    /// Looks at `visits.bin`, and asserts that it never goes back, and holds no less than what is acknowledged.
    #[track_caller]
    fn look(&mut self, world: &World, processes: &[Process]) {
        let now = content(world, record::FILE).map_or(0, |bytes| record::decode(&bytes).unwrap());
        assert!(now >= self.last, "{now} after {}", self.last);
        self.last = now;
        for number in processes.iter().flat_map(Process::numbers) {
            assert!(number <= now, "{number} acknowledged, {now} published");
        }
    }
}

/// Notes the schedules in which a late write would have done harm.
fn note_lost_writes(world: &World, seen: &mut Seen) {
    world.with(|state| {
        let history = &state.history;
        seen.note(
            "a late write, to a file without a name",
            history.lost_writes > 0,
        );
        let helped = history.failed("rename next.", FsErrorKind::NotFound);
        seen.note("a publication done by another", helped);
        let (writes, replacements) = (
            history.count("write visits.bin"),
            history.count("rename next."),
        );
        seen.note("both ways of publishing", writes > 0 && replacements > 0);
    });
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
pub(super) fn visits_bin_never_holds_less_than_what_is_acknowledged() {
    each_seed(SEEDS, |seed, seen| {
        let world = World::new(seed);
        let mut processes = Process::start_many(&world, 3);
        let mut writes = Writes::default();
        for _ in 0..3 {
            visitors_keep_coming(&world, &mut processes, &mut writes);
            while processes.iter().any(|p| p.answered() < p.sent) {
                step(&world, &mut processes);
                writes.look(&world, &processes);
            }
            let counted: u64 = processes.iter().map(|p| p.sent as u64).sum();
            assert_eq!(published(&world).unwrap_or(0), counted);
        }
        assert_exactly(
            processes.iter().flat_map(Process::numbers).collect(),
            processes.iter().map(|p| p.sent as u64).sum(),
        );
        note_lost_writes(&world, seen);
    });
}

#[test]
pub(super) fn visits_bin_never_goes_back_if_a_batch_fails() {
    each_seed(SEEDS, |seed, seen| {
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
        }
        let failed = |call| world.with(|state| state.history.failed(call, FsErrorKind::Io));
        seen.note("a failed sync", failed("sync"));
        seen.note("a failed claim", failed("rename ticket."));
        note_lost_writes(&world, seen);
    });
}

#[test]
pub(super) fn a_write_of_a_cancelled_leader_never_lands_after_that_of_its_successor() {
    each_seed(SEEDS, |seed, seen| {
        let world = World::new(seed);
        let mut processes = Process::start_many(&world, 1);
        processes[0].visitors(1);
        processes[0].finish(&world);
        let mut writes = Writes::default();
        for _ in 0..3 {
            processes[0].visitors(1);
            steps_below(8, &world, &mut processes);
            // All requests are cancelled, and the instance lives on.
            processes[0].pool = LocalPool::new();
            let before = processes[0].answered();
            processes[0].visitors(1);
            // The system may take its time over what they have called.
            let mut late = world.with(|state| std::mem::take(&mut state.under_way));
            let mut delay = world.with(|state| state.below(20));
            while processes[0].answered() == before {
                if delay == 0 {
                    world.with(|state| state.under_way.append(&mut late));
                }
                delay = delay.saturating_sub(1);
                step(&world, &mut processes);
                writes.look(&world, &processes);
            }
            world.with(|state| state.under_way.append(&mut late));
        }
        run_to_rest(&world, &mut processes);
        writes.look(&world, &processes);
        let lost = world.with(|state| state.history.lost_writes > 0);
        seen.note("a write that lands after its leader was cancelled", lost);
    });
}
