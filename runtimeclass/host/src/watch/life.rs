//! The health of one instance, as seen from outside its event loop.

use futures::task::AtomicWaker;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Context;
use std::time::{Duration, Instant};

/// The reason why an instance ended before its requests did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The instance trapped.
    Failed,
    /// The instance did not react to an overdue request.
    Overdue,
    /// The host stopped and the drain timeout passed.
    Abandoned,
}

/// The health of one instance.
#[derive(Debug)]
pub(crate) struct Life {
    born: Instant,
    /// How much longer than the time limit the instance may stand still.
    patience: Duration,
    /// Milliseconds after `born` at which the event loop last ran. May lie ahead: until then something else is
    /// responsible for the delay.
    moved: AtomicU64,
    /// Milliseconds after `born`, rounded up, at which the instance last answered a request.
    answered: AtomicU64,
    retiring: AtomicBool,
    waker: AtomicWaker,
    cause: OnceLock<Cause>,
}

impl Life {
    pub(crate) fn new(patience: Duration) -> Self {
        Self {
            born: Instant::now(),
            patience,
            moved: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            retiring: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            cause: OnceLock::new(),
        }
    }

    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    /// Notes that the event loop runs. After this, [`Life::stir`] wakes the task of `cx`.
    pub(crate) fn moves(&self, cx: &Context<'_>) {
        self.waker.register(cx.waker());
        self.moved_at(Instant::now());
    }

    /// Excuses the instance until `time`, which may lie ahead.
    pub(super) fn moved_at(&self, time: Instant) {
        self.moved.fetch_max(self.millis(time), Ordering::Relaxed);
    }

    /// Wakes the event loop.
    pub(crate) fn stir(&self) {
        self.waker.wake();
    }

    /// Returns when the event loop last ran.
    pub(super) fn moved(&self) -> Instant {
        self.born + Duration::from_millis(self.moved.load(Ordering::Relaxed))
    }

    /// Notes that a request was answered at `time`.
    pub(crate) fn answers_at(&self, time: Instant) {
        let millis = self.millis(time).saturating_add(1);
        self.answered.store(millis, Ordering::Relaxed);
    }

    /// Returns when a request was last answered: when the instance was born, before the first. It has taken every request
    /// later than that.
    pub(super) fn answered(&self) -> Instant {
        self.born + Duration::from_millis(self.answered.load(Ordering::Relaxed))
    }

    pub(super) fn retire(&self) {
        self.retiring.store(true, Ordering::Relaxed);
    }

    /// Returns whether the instance takes no more requests.
    pub(crate) fn is_retiring(&self) -> bool {
        self.retiring.load(Ordering::Relaxed)
    }

    /// Notes why the instance ends. Keeps the first reason, and returns it.
    pub(crate) fn end(&self, cause: Cause) -> Cause {
        *self.cause.get_or_init(|| cause)
    }

    /// Returns why the instance ended. Returns `None` while it runs, and after an orderly end.
    pub(crate) fn cause(&self) -> Option<Cause> {
        self.cause.get().copied()
    }

    fn millis(&self, time: Instant) -> u64 {
        let millis = time.saturating_duration_since(self.born).as_millis();
        u64::try_from(millis).unwrap_or(u64::MAX)
    }
}
