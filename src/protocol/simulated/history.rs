//! What happened in a simulated world, so that tests can assert which schedules they have seen.

use super::super::directory::{FsErrorKind, FsResult};
use super::observed::Observed;
use std::hash::Hash;
use std::rc::Rc;

/// An instance of the counter, by the order of their starts.
pub(crate) type InstanceId = usize;

/// How far an instance's newest batch has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The ticket is renamed; the private directory is not synced.
    Claimed,
    /// The private directory is synced; `visits.bin` is not written.
    Synced,
    /// `visits.bin` is replaced; the private directory is not synced.
    Published,
}

/// What happened since the world began.
#[derive(Default)]
pub(crate) struct History {
    /// The calls that took effect, in order, as `name argument`.
    pub(crate) calls: Vec<Rc<str>>,
    failures: Vec<(Rc<str>, FsErrorKind)>,
    progress: Vec<Option<Progress>>,
    /// What each instance has observed.
    pub(crate) observed: Vec<Observed>,
    /// How many calls took effect after their callers were gone.
    pub(crate) late_calls: usize,
    /// How many writes went to a file that had been replaced or removed since it was opened.
    pub(crate) lost_writes: usize,
    /// How many listings saw an entry change.
    pub(crate) torn_listings: usize,
    /// How many power cuts lost something.
    pub(crate) lossy_cuts: usize,
}

impl History {
    /// Adds an instance.
    pub(super) fn start(&mut self) -> InstanceId {
        let instance = self.progress.len();
        self.progress.push(None);
        self.observed.push(Observed::nothing(instance as u64));
        instance
    }

    /// Adds to what an instance has observed.
    pub(crate) fn observe(&mut self, instance: InstanceId, what: &impl Hash) {
        self.observed[instance].observe(what);
    }

    /// Records a call that took effect, or failed.
    pub(super) fn record<T: Hash>(
        &mut self,
        instance: InstanceId,
        call: Rc<str>,
        result: &FsResult<T>,
    ) {
        use Progress::*;
        self.observe(instance, &(&call, result));
        let progress = &mut self.progress[instance];
        match result {
            Ok(_) if call.starts_with("rename ticket.") => *progress = Some(Claimed),
            Ok(_) if &*call == "sync" && *progress == Some(Claimed) => *progress = Some(Synced),
            Ok(_) if call.starts_with("rename next.") => *progress = Some(Published),
            // The visitors get their answers.
            Ok(_) if &*call == "sync" && *progress == Some(Published) => *progress = None,
            Ok(_) if &*call == "write visits.bin" && *progress == Some(Synced) => *progress = None,
            Ok(_) => {}
            Err(error) => self.failures.push((call.clone(), error.kind)),
        }
        self.calls.push(call);
    }

    /// Returns how far the newest batch of an instance has come; `None` if none is under way.
    pub(crate) fn progress(&self, instance: InstanceId) -> Option<Progress> {
        self.progress[instance]
    }

    /// Returns how many calls have succeeded or failed whose text starts with `call`.
    pub(crate) fn count(&self, call: &str) -> usize {
        self.calls.iter().filter(|it| it.starts_with(call)).count()
    }

    /// Returns whether a call whose text starts with `call` has failed in this way.
    pub(crate) fn failed(&self, call: &str, kind: FsErrorKind) -> bool {
        let mut failures = self.failures.iter();
        failures.any(|(it, failed)| it.starts_with(call) && *failed == kind)
    }
}
