//! One watched request: when its time started, and which instance has it.

use super::{Life, Watch};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// The part of a request's time after which what the component waits for outside ends with an error: the rest is the
/// component's, to answer with what it knows.
const TOLD_AFTER: f64 = 0.9;

/// When the time of a request started, and which instance has it.
#[derive(Debug)]
pub(crate) struct Progress {
    start: Instant,
    limit: Duration,
    /// Milliseconds after `start`.
    since: AtomicU64,
    taken: OnceLock<Arc<Life>>,
    /// Whether the head of its response is made, or nobody waits for it any more.
    over: AtomicBool,
}

impl Progress {
    pub(super) fn new(start: Instant, limit: Duration) -> Self {
        let progress = Self {
            start,
            limit,
            since: AtomicU64::new(0),
            taken: OnceLock::new(),
            over: AtomicBool::new(false),
        };
        progress.touch();
        progress
    }

    /// Starts the request's time now.
    pub(crate) fn touch(&self) {
        self.excuse_until(Instant::now());
    }

    /// Starts the request's time at `time`, which may lie ahead: until then something else limits it.
    pub(crate) fn excuse_until(&self, time: Instant) {
        // Rounded up: no request ends before its time is over.
        let since = time.saturating_duration_since(self.start).as_nanos();
        let since = u64::try_from(since.div_ceil(1_000_000)).unwrap_or(u64::MAX);
        self.since.store(since, Ordering::Relaxed);
        if let Some(life) = self.taken.get() {
            life.moved_at(time);
        }
    }

    /// When the request's time started.
    pub(crate) fn since(&self) -> Instant {
        self.start + Duration::from_millis(self.since.load(Ordering::Relaxed))
    }

    /// When the request's time is over.
    pub(crate) fn ends(&self) -> Instant {
        self.since() + self.limit
    }

    /// When what the component waits for outside, for this request, ends with an error; `None` when the request is
    /// answered, and the time limit applies no more.
    pub(crate) fn told_at(&self) -> Option<Instant> {
        let over = self.over.load(Ordering::Relaxed);
        (!over).then(|| self.since() + self.limit.mul_f64(TOLD_AFTER))
    }

    /// An instance takes the request.
    pub(crate) fn taken_by(&self, life: &Arc<Life>) {
        let _ = self.taken.set(life.clone());
        self.touch();
    }

    pub(super) fn is_held_by(&self, life: &Arc<Life>) -> bool {
        self.instance()
            .is_some_and(|other| Arc::ptr_eq(other, life))
    }

    /// The instance that took the request; `None` while it waits.
    pub(crate) fn instance(&self) -> Option<&Arc<Life>> {
        self.taken.get()
    }
}

/// Keeps a request watched until it is dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    watch: Arc<Watch>,
    id: u64,
    progress: Arc<Progress>,
}

impl Ticket {
    pub(super) fn new(watch: Arc<Watch>, id: u64, progress: Arc<Progress>) -> Self {
        Self {
            watch,
            id,
            progress,
        }
    }

    pub(crate) fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.progress.over.store(true, Ordering::Relaxed);
        self.watch.forget(self.id);
    }
}
