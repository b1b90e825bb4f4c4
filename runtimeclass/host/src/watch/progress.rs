//! One watched request: when its time started, and which instance holds it.

use super::{Life, Watch};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// The part of a request's time after which the component's outbound requests for it fail. The component has the rest
/// to answer without them.
const OUTBOUND_PART: f64 = 0.9;

/// When the time of a request started, and which instance holds it.
#[derive(Debug)]
pub(crate) struct Progress {
    start: Instant,
    limit: Duration,
    /// Milliseconds after `start`.
    since: AtomicU64,
    taken: OnceLock<Arc<Life>>,
    /// Whether the head of the response is made, or its client is gone.
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

    /// Starts the request's time at `time`, which may lie ahead. Another limit applies until then.
    pub(crate) fn excuse_until(&self, time: Instant) {
        // Rounded up, so that a request never ends early.
        let since = time.saturating_duration_since(self.start).as_nanos();
        let since = u64::try_from(since.div_ceil(1_000_000)).unwrap_or(u64::MAX);
        self.since.store(since, Ordering::Relaxed);
        if let Some(life) = self.taken.get() {
            life.moved_at(time);
        }
    }

    /// Returns when the request's time started.
    pub(crate) fn since(&self) -> Instant {
        self.start + Duration::from_millis(self.since.load(Ordering::Relaxed))
    }

    /// Returns when the request's time is over.
    pub(crate) fn ends(&self) -> Instant {
        self.since() + self.limit
    }

    /// Returns when the component's outbound requests for this request fail. Returns `None` after the request is
    /// answered, because the time limit no longer applies.
    pub(crate) fn outbound_deadline(&self) -> Option<Instant> {
        let over = self.over.load(Ordering::Relaxed);
        (!over).then(|| self.since() + self.limit.mul_f64(OUTBOUND_PART))
    }

    /// Notes that an instance takes the request.
    pub(crate) fn taken_by(&self, life: &Arc<Life>) {
        let _ = self.taken.set(life.clone());
        self.touch();
    }

    pub(super) fn is_held_by(&self, life: &Arc<Life>) -> bool {
        self.instance()
            .is_some_and(|other| Arc::ptr_eq(other, life))
    }

    /// Returns the instance that took the request, or `None` while the request waits.
    pub(crate) fn instance(&self) -> Option<&Arc<Life>> {
        self.taken.get()
    }
}

/// Keeps a request watched until it is dropped.
#[derive(Debug)]
pub(crate) struct Watched {
    watch: Arc<Watch>,
    id: u64,
    progress: Arc<Progress>,
}

impl Watched {
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

impl Drop for Watched {
    fn drop(&mut self) {
        self.progress.over.store(true, Ordering::Relaxed);
        self.watch.forget(self.id);
    }
}
