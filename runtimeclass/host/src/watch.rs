//! Which requests are overdue.
//!
//! A request is watched from the moment it waits for an instance until the head of its response is made. Its time
//! starts when an instance takes it and starts again with every piece of body its client sends; while the component
//! waits for the client, the client's own limits apply ([`crate::body`]), so a slow client costs only itself.
//! Waiting requests are watched too: a component that computes for ever after its last answer keeps them waiting,
//! and is found by that.
//!
//! An instance is judged from two places: a timer outside its event loop, which finds requests that wait for ever,
//! and the engine's epoch, which interrupts it when it computes for ever and no timer gets its turn.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

/// Why an instance ended before its requests did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    /// It trapped.
    Failed,
    /// A request took longer than the time limit.
    Overdue,
    /// The host gave up waiting for it when it stopped.
    Abandoned,
}

/// How one instance ended: empty while it runs.
pub(crate) type Fate = OnceLock<Death>;

/// All watched requests of one component.
#[derive(Debug)]
pub(crate) struct Watch {
    limit: Duration,
    start: Instant,
    requests: Mutex<Requests>,
    abandoned: AtomicBool,
}

#[derive(Debug, Default)]
struct Requests {
    next: u64,
    watched: BTreeMap<u64, Arc<Progress>>,
}

/// When the time of a request started, and which instance has it.
#[derive(Debug)]
pub(crate) struct Progress {
    start: Instant,
    /// Milliseconds after `start`.
    since: AtomicU64,
    instance: OnceLock<Arc<Fate>>,
}

/// Keeps a request watched until it is dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    watch: Arc<Watch>,
    id: u64,
    progress: Arc<Progress>,
}

impl Watch {
    pub(crate) fn new(limit: Duration) -> Self {
        Self {
            limit,
            start: Instant::now(),
            requests: Mutex::default(),
            abandoned: AtomicBool::new(false),
        }
    }

    pub(crate) fn limit(&self) -> Duration {
        self.limit
    }

    /// Watches a request from now on.
    pub(crate) fn register(self: &Arc<Self>) -> Ticket {
        let progress = Arc::new(Progress {
            start: self.start,
            since: AtomicU64::new(0),
            instance: OnceLock::new(),
        });
        progress.touch();
        let mut requests = self.requests();
        let id = requests.next;
        requests.next += 1;
        requests.watched.insert(id, progress.clone());
        Ticket {
            watch: self.clone(),
            id,
            progress,
        }
    }

    /// From now on every instance is judged dead: the host stops and waits no longer.
    pub(crate) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }

    /// Judges an instance that started at `started`. A request that waited before is its predecessor's fault: its
    /// time starts with the instance.
    pub(crate) fn judge(&self, started: Instant, now: Instant) -> Option<Death> {
        if self.abandoned.load(Ordering::Relaxed) {
            return Some(Death::Abandoned);
        }
        let overdue = |progress: &Arc<Progress>| now > progress.since().max(started) + self.limit;
        self.requests()
            .watched
            .values()
            .any(overdue)
            .then_some(Death::Overdue)
    }

    /// Resolves when the instance that started at `started` is to end, looking at every `tick`.
    pub(crate) async fn death(&self, started: Instant, tick: Duration) -> Death {
        let mut ticks = tokio::time::interval(tick);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Some(death) = self.judge(started, Instant::now()) {
                return death;
            }
        }
    }

    fn requests(&self) -> MutexGuard<'_, Requests> {
        // Nothing under the lock can panic half-way.
        self.requests
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Progress {
    /// Starts the request's time now.
    pub(crate) fn touch(&self) {
        self.excuse_until(Instant::now());
    }

    /// Starts the request's time at `time`, which may lie ahead: until then something else limits it.
    pub(crate) fn excuse_until(&self, time: Instant) {
        let since = time.saturating_duration_since(self.start).as_millis();
        self.since
            .store(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// When the request's time started.
    pub(crate) fn since(&self) -> Instant {
        self.start + Duration::from_millis(self.since.load(Ordering::Relaxed))
    }

    /// An instance takes the request.
    pub(crate) fn taken_by(&self, instance: &Arc<Fate>) {
        self.touch();
        let _ = self.instance.set(instance.clone());
    }

    /// The fate of the instance that took the request; `None` while it waits.
    pub(crate) fn instance(&self) -> Option<&Arc<Fate>> {
        self.instance.get()
    }
}

impl Ticket {
    pub(crate) fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.watch.requests().watched.remove(&self.id);
    }
}
