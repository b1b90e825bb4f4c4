//! The protocol on the simulated volume: the order of its calls, races, kills, power cuts, faults.
//!
//! - [`rules`]: one rule each, on a schedule that does not matter.
//! - [`mixed`]: the same with take-over, requests that do not count, and single processes killed.
//! - [`obvious`]: the handler that this protocol replaces, which loses visits.
//! - [`refusals`]: obstacles of every kind, which must not count.
//! - [`takeovers`]: what was on the volume before.
//! - [`races`]: many schedules; a failure names its seed, which replays it.

mod mixed;
mod obvious;
mod races;
mod refusals;
mod rules;
mod takeovers;

use super::counter::Counter;
use super::error::{CountResult, Refusal};
use super::record;
use super::simulated::disk::ROOT;
use super::simulated::{Simulated, World};
use crate::metrics::Metrics;
use futures::executor::LocalPool;
use futures::task::LocalSpawnExt;
use std::cell::RefCell;
use std::rc::Rc;

const LONG: usize = 1_000_000;

/// One process: an instance, its tasks, and what its visitors were told.
struct Process {
    pool: LocalPool,
    counter: Counter<Simulated>,
    told: Rc<RefCell<Vec<Result<u64, String>>>>,
    sent: usize,
}

impl Process {
    fn start(world: &World) -> Self {
        let counter = Counter::new(world.platform(), Rc::new(Metrics::default()));
        Process {
            pool: LocalPool::new(),
            counter,
            told: Rc::default(),
            sent: 0,
        }
    }

    fn visitors(&mut self, count: usize) {
        self.sent += count;
        for _ in 0..count {
            let (counter, told) = (self.counter.clone(), self.told.clone());
            let visit = async move {
                let number = counter.visit().await.map_err(|e| e.to_string());
                told.borrow_mut().push(number);
            };
            self.pool.spawner().spawn_local(visit).unwrap();
        }
    }

    /// Runs alone to the end, and returns the numbers its visitors were told.
    fn finish(&mut self, world: &World) -> Vec<u64> {
        world.run(&mut self.pool, LONG);
        self.numbers()
    }

    fn numbers(&self) -> Vec<u64> {
        let told = self.told.borrow();
        told.iter()
            .filter_map(|n| n.as_ref().ok())
            .copied()
            .collect()
    }

    fn errors(&self) -> Vec<String> {
        let told = self.told.borrow();
        told.iter()
            .filter_map(|n| n.as_ref().err())
            .cloned()
            .collect()
    }

    fn current(&mut self, world: &World) -> Result<u64, (Refusal, String)> {
        let counter = self.counter.clone();
        self.ask(world, async move { counter.current().await })
    }

    fn probe(&mut self, world: &World) -> Result<(), (Refusal, String)> {
        let counter = self.counter.clone();
        self.ask(world, async move { counter.probe().await })
    }

    fn ask<T: 'static>(
        &mut self,
        world: &World,
        question: impl Future<Output = CountResult<T>> + 'static,
    ) -> Result<T, (Refusal, String)> {
        let result = world.complete(&mut self.pool, question);
        result.map_err(|error| (error.refusal, error.to_string()))
    }
}

/// Runs several processes side by side until all their visitors were told something.
fn run_together(world: &World, processes: &mut [Process]) {
    while processes.iter().any(|p| p.told.borrow().len() < p.sent) {
        for process in &mut *processes {
            world.poll(&mut process.pool);
        }
        world.step();
    }
}

fn published(world: &World) -> Option<u64> {
    let read = world.with(|state| state.disk.read(ROOT, record::FILE, 64));
    read.ok().map(|bytes| {
        assert_eq!(bytes.len(), 8, "{bytes:?}");
        record::decode(&bytes).unwrap()
    })
}

fn tickets(world: &World) -> Vec<String> {
    world.with(|state| {
        let private = state.disk.open_dir(ROOT, ".visits").unwrap();
        state.disk.names(private)
    })
}

fn set_visits_bin(world: &World, bytes: &[u8]) {
    world.with(|state| {
        let file = state.disk.open_file(ROOT, record::FILE, true).unwrap();
        state.disk.truncate(file, 0).unwrap();
        state.disk.write_to(file, bytes).unwrap();
    });
}

#[track_caller]
fn assert_exactly(mut numbers: Vec<u64>, count: u64, seed: u64) {
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=count).collect::<Vec<_>>(), "seed {seed}");
}
