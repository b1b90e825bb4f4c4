//! The protocol on the simulated volume: the order of its calls, races, kills, power cuts, faults.
//!
//! - [`rules`]: one rule each, on any schedule.
//! - [`omissions`]: each rule left out, and the test that notices.
//! - [`obvious`]: the handler that this protocol replaces, which loses visits.
//! - [`refusals`]: obstacles of every kind, which must not count.
//! - [`stalls`]: a volume that does not respond.
//! - [`confirmations`]: file systems whose syncs report success and store nothing, and what confirms a sync.
//! - [`starts`], [`takeovers`]: the first start, and what was on the volume before.
//! - [`fences`], [`unfenced`]: publishing by replacing `visits.bin`, and without space for that.
//! - [`mends`]: requests that do not count; [`observed`]: what the metrics show.
//! - [`turns`], [`lingering`]: letting other instances claim, and waiting for the next visitor.
//! - [`races`]: many schedules of races, kills, power cuts, and leaders that are cancelled or stalled.
//! - [`mixed`]: the same with take-overs, requests that do not count, and processes killed one by one.
//! - [`publishing`]: instances that write `visits.bin` at the same time.
//! - [`exhaustive`]: every schedule within [`bounds`], by [`explore`], [`work`], [`schedule`], [`moves`], [`subject`],
//!   [`requests`] and [`properties`]. What is not explored twice: [`fingerprint`], [`rest`], [`twins`].
//! - [`seeds`] and [`shrink`]: which seeds run, and how to replay a failure. README.md lists the faults found so far.

mod bounds;
mod confirmations;
mod exhaustive;
mod explore;
mod fences;
mod fingerprint;
mod lingering;
mod mends;
mod mixed;
mod moves;
mod observed;
mod obvious;
mod omissions;
mod properties;
mod publishing;
mod races;
mod refusals;
mod requests;
mod rest;
mod rules;
mod schedule;
mod seeds;
mod shrink;
mod stalls;
mod starts;
mod subject;
mod takeovers;
mod turns;
mod twins;
mod unfenced;
mod work;

use super::counter::Counter;
use super::error::{CountResult, Refusal};
use super::observer::Observer;
use super::record;
use super::simulated::disk::ROOT;
use super::simulated::history::{InstanceId, Progress};
use super::simulated::{Simulated, World};
use futures::executor::LocalPool;
use futures::task::LocalSpawnExt;
use seeds::{Seen, each_seed};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// The numbers of visitors when none got one.
const NOBODY: [u64; 0] = [];

/// What visitors got: their numbers, or the error.
type Outcomes = Rc<RefCell<Vec<Result<u64, String>>>>;

/// An observer that records nothing.
struct Nobody;

impl Observer for Nobody {
    fn committed(&self, _: u64) {}
    fn failed(&self, _: u64) {}
    fn synced(&self, _: Duration) {}
    fn lost_claim(&self) {}
}

/// One process: an instance, its tasks, and what its visitors got.
struct Process {
    pool: LocalPool,
    counter: Counter<Simulated>,
    instance: InstanceId,
    outcomes: Outcomes,
    sent: usize,
}

impl Process {
    fn start(world: &World) -> Self {
        let platform = world.platform();
        let instance = platform.instance;
        Process {
            pool: LocalPool::new(),
            counter: Counter::new(platform, Rc::new(Nobody)),
            instance,
            outcomes: Rc::default(),
            sent: 0,
        }
    }

    fn start_many(world: &World, count: usize) -> Vec<Self> {
        (0..count).map(|_| Process::start(world)).collect()
    }

    fn visitors(&mut self, count: usize) {
        self.sent += count;
        for _ in 0..count {
            let (counter, outcomes) = (self.counter.clone(), self.outcomes.clone());
            let visit = async move {
                let number = counter.visit().await.map_err(|e| e.to_string());
                outcomes.borrow_mut().push(number);
            };
            self.pool.spawner().spawn_local(visit).unwrap();
        }
    }

    /// Runs alone until it waits.
    fn run(&mut self, world: &World) {
        world.run_to_rest(&mut self.pool);
    }

    /// Runs alone to the end, and returns the numbers that its visitors got.
    fn finish(&mut self, world: &World) -> Vec<u64> {
        self.run(world);
        self.numbers()
    }

    fn numbers(&self) -> Vec<u64> {
        let outcomes = self.outcomes.borrow();
        outcomes.iter().filter_map(|it| it.clone().ok()).collect()
    }

    fn errors(&self) -> Vec<String> {
        let outcomes = self.outcomes.borrow();
        outcomes.iter().filter_map(|it| it.clone().err()).collect()
    }

    /// Returns how many visitors have got a number or an error.
    fn answered(&self) -> usize {
        self.outcomes.borrow().len()
    }

    fn current(&mut self, world: &World) -> Result<u64, (Refusal, String)> {
        let counter = self.counter.clone();
        self.complete(world, async move { counter.current().await })
    }

    fn probe(&mut self, world: &World) -> Result<(), (Refusal, String)> {
        let counter = self.counter.clone();
        self.complete(world, async move { counter.probe().await })
    }

    fn complete<T: 'static>(
        &mut self,
        world: &World,
        request: impl Future<Output = CountResult<T>> + 'static,
    ) -> Result<T, (Refusal, String)> {
        let result = world.complete(&mut self.pool, request);
        result.map_err(|error| (error.refusal, error.to_string()))
    }

    /// Notes how far a batch has come in a process that is about to be killed.
    fn note_kill(&self, world: &World, seen: &mut Seen) {
        let progress = world.with(|state| state.history.progress(self.instance));
        let progress = progress.filter(|_| self.answered() < self.sent);
        for (schedule, after) in [
            ("killed between claim and sync", Progress::Claimed),
            ("killed between sync and publishing", Progress::Synced),
            ("killed between publishing and sync", Progress::Published),
        ] {
            seen.note(schedule, progress == Some(after));
        }
    }
}

/// Polls all processes, and takes one step.
fn step(world: &World, processes: &mut [Process]) {
    processes.iter_mut().for_each(|p| world.poll(&mut p.pool));
    world.step();
}

/// Takes a random number of steps below `bound`, and polls once more.
fn steps_below(bound: u64, world: &World, processes: &mut [Process]) {
    for _ in 0..world.with(|state| state.below(bound)) {
        step(world, processes);
    }
    processes.iter_mut().for_each(|p| world.poll(&mut p.pool));
}

/// Runs several processes side by side until all their visitors have a number or an error.
fn run_together(world: &World, processes: &mut [Process]) {
    while processes.iter().any(|p| p.answered() < p.sent) {
        step(world, processes);
    }
}

/// Runs several processes side by side until none can continue.
fn run_to_rest(world: &World, processes: &mut [Process]) {
    loop {
        processes.iter_mut().for_each(|p| world.poll(&mut p.pool));
        if !world.step() {
            return;
        }
    }
}

/// Returns the names on the volume.
fn names(world: &World) -> Vec<String> {
    world.with(|state| state.disk.names(ROOT))
}

/// Returns whether counting has started on the volume.
fn started(world: &World) -> bool {
    world.with(|state| state.disk.open_dir(ROOT, ".visits").is_ok())
}

/// Returns the names in the private directory, without the ids of claims.
fn tickets(world: &World) -> Vec<String> {
    let mut names = world.with(|state| {
        let private = state.disk.open_dir(ROOT, ".visits").unwrap();
        state.disk.names(private)
    });
    for name in &mut names {
        *name = without_id(name);
    }
    names
}

/// Creates a file beside the ticket.
fn create_beside_ticket(world: &World, name: &str, bytes: &[u8]) {
    world.with(|state| {
        let private = state.disk.open_dir(ROOT, ".visits").unwrap();
        let file = state.disk.open_file(private, name, true).unwrap();
        state.disk.write_to(file, bytes).unwrap();
    });
}

/// Returns the whole name of the ticket.
fn ticket(world: &World) -> String {
    world.with(|state| {
        let private = state.disk.open_dir(ROOT, ".visits").unwrap();
        let names = state.disk.names(private);
        names
            .into_iter()
            .find(|it| it.starts_with("ticket."))
            .unwrap()
    })
}

/// Returns a name, or the text of a call, without the id of a claim.
fn without_id(name: &str) -> String {
    match name.rsplit_once('-') {
        Some((name, id)) if id.len() == 16 => name.into(),
        _ => name.into(),
    }
}

/// Returns a file's content.
fn content(world: &World, name: &str) -> Option<Vec<u8>> {
    world.with(|state| state.disk.read(ROOT, name, 64)).ok()
}

/// Replaces a file's content.
fn put(world: &World, name: &str, bytes: &[u8]) {
    world.with(|state| {
        let file = state.disk.open_file(ROOT, name, true).unwrap();
        state.disk.truncate(file, 0).unwrap();
        state.disk.write_to(file, bytes).unwrap();
    });
}

fn set_visits_bin(world: &World, bytes: &[u8]) {
    put(world, record::FILE, bytes);
}

/// Sets `visits.bin`, so that it survives a power cut.
fn set_visits_bin_durably(world: &World, bytes: &[u8]) {
    set_visits_bin(world, bytes);
    world.with(|state| {
        state.disk.sync_file(ROOT, record::FILE).unwrap();
        state.disk.sync(ROOT).unwrap();
    });
}

/// Returns the count in `visits.bin`, which must be 8 bytes long.
fn published(world: &World) -> Option<u64> {
    content(world, record::FILE).map(|bytes| {
        assert_eq!(bytes.len(), 8, "{bytes:?}");
        record::decode(&bytes).unwrap()
    })
}

/// Makes calls fail whose text starts with `call`.
fn fail(world: &World, call: &'static str, kind: super::directory::FsErrorKind) {
    world.with(|state| state.faults.push((call, kind)));
}

/// Ends all faults.
fn mend(world: &World) {
    world.with(|state| state.faults.clear());
}

#[track_caller]
fn assert_exactly(mut numbers: Vec<u64>, count: u64) {
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=count).collect::<Vec<_>>());
}
