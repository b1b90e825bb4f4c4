//! The instance of WASI 0.2 that is made before its request comes.
//!
//! Requests go to it first, and only while it answers one are others taken. If another worker has taken a request, and there
//! is no memory for its instance because the one that waits has it, it hands its request over. Without that, both would wait
//! for each other.

use super::job::{Job, Jobs};
use std::sync::{Mutex, MutexGuard};
use tokio::sync::watch;

/// What the instance does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It answers a request, or does not exist.
    Busy,
    Waits,
    /// A request was handed over, which it has not taken yet.
    Handed,
}

pub(super) struct Spare {
    /// Changes together with `handed`.
    phase: watch::Sender<Phase>,
    handed: Mutex<Option<Job>>,
    /// Locked by the one worker without an instance that may take a request, so that each change wakes one thread.
    turn: tokio::sync::Mutex<()>,
}

impl Default for Spare {
    fn default() -> Self {
        Self {
            phase: watch::Sender::new(Phase::Busy),
            handed: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }
    }
}

impl Spare {
    /// Waits for the next request of the instance. Returns `None` if no more can come.
    pub(super) async fn next(&self, jobs: &Jobs) -> Option<Job> {
        self.change(Phase::Busy, Phase::Waits, || ());
        let job = tokio::select! {
            biased;
            () = self.until(|phase| phase == Phase::Handed) => None,
            job = jobs.next() => job,
        };
        self.change(Phase::Waits, Phase::Busy, || ());
        // A request that is handed over in this moment comes after `job`.
        if job.is_none() {
            let take = || self.handed().take();
            return self.change(Phase::Handed, Phase::Busy, take).flatten();
        }
        job
    }

    /// Waits for the next request of a worker without an instance. Returns `None` if no more can come.
    pub(super) async fn next_of_others(&self, jobs: &Jobs) -> Option<Job> {
        let _turn = self.turn.lock().await;
        loop {
            self.until(|phase| phase != Phase::Waits).await;
            tokio::select! {
                biased;
                () = self.until(|phase| phase == Phase::Waits) => {}
                job = jobs.next() => return job,
            }
        }
    }

    /// Waits until the instance waits for a request.
    pub(super) async fn waits(&self) {
        self.until(|phase| phase == Phase::Waits).await;
    }

    /// Hands a request over to the instance. Returns it if the instance does not wait any more.
    pub(super) fn hand_over(&self, job: Job) -> Option<Job> {
        let mut job = Some(job);
        let hand = || *self.handed() = job.take();
        self.change(Phase::Waits, Phase::Handed, hand);
        job
    }

    /// Changes the phase, if it is `from`, and does `also` in the same moment.
    fn change<T>(&self, from: Phase, to: Phase, also: impl FnOnce() -> T) -> Option<T> {
        let mut done = None;
        self.phase.send_if_modified(|phase| {
            let is = *phase == from;
            if is {
                *phase = to;
                done = Some(also());
            }
            is
        });
        done
    }

    async fn until(&self, wanted: impl Fn(Phase) -> bool) {
        let mut phase = self.phase.subscribe();
        let changed = phase.wait_for(|phase| wanted(*phase)).await;
        drop(changed.expect("the sender is in this object"));
    }

    fn handed(&self) -> MutexGuard<'_, Option<Job>> {
        self.handed.lock().expect("no holder panics")
    }
}
