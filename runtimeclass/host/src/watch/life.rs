//! How one instance is doing, as seen from outside of its event loop.

use futures::task::AtomicWaker;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Context;
use std::time::{Duration, Instant};

/// Why an instance ended before its requests did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    /// It trapped.
    Failed,
    /// It did not react to the end of a request's time.
    Overdue,
    /// The host gave up waiting for it when it stopped.
    Abandoned,
}

/// One instance.
#[derive(Debug)]
pub(crate) struct Life {
    born: Instant,
    /// How much longer than the time limit it may stand still.
    patience: Duration,
    /// Milliseconds after `born` at which its event loop turned last, or until which somebody else is to blame if it
    /// does not.
    moved: AtomicU64,
    /// Milliseconds after `born`, rounded up, at which it answered a request last; 0 if it has answered none.
    answered: AtomicU64,
    retiring: AtomicBool,
    waker: AtomicWaker,
    death: OnceLock<Death>,
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
            death: OnceLock::new(),
        }
    }

    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    /// Notes that the event loop turns. [`Life::stir`] has the task of `cx` polled again.
    pub(crate) fn moves(&self, cx: &Context<'_>) {
        self.waker.register(cx.waker());
        self.moved_at(Instant::now());
    }

    /// Notes that until `time`, which may lie ahead, the instance is not to blame for standing still.
    pub(super) fn moved_at(&self, time: Instant) {
        self.moved.fetch_max(self.millis(time), Ordering::Relaxed);
    }

    /// Has the event loop turn, if it can.
    pub(super) fn stir(&self) {
        self.waker.wake();
    }

    /// When the event loop turned last.
    pub(super) fn moved(&self) -> Instant {
        self.born + Duration::from_millis(self.moved.load(Ordering::Relaxed))
    }

    /// Notes that a request was answered at `time`.
    pub(crate) fn answers_at(&self, time: Instant) {
        let millis = self.millis(time).saturating_add(1);
        self.answered.store(millis, Ordering::Relaxed);
    }

    /// When a request was answered last.
    pub(super) fn answered(&self) -> Option<Instant> {
        let millis = self.answered.load(Ordering::Relaxed);
        (millis > 0).then(|| self.born + Duration::from_millis(millis))
    }

    pub(super) fn retire(&self) {
        self.retiring.store(true, Ordering::Relaxed);
    }

    /// Whether it takes no more requests.
    pub(crate) fn is_retiring(&self) -> bool {
        self.retiring.load(Ordering::Relaxed)
    }

    /// Notes why it ends. The first reason stays, and is returned.
    pub(crate) fn dies(&self, death: Death) -> Death {
        *self.death.get_or_init(|| death)
    }

    /// Why it ended; `None` while it runs, and after an end in order.
    pub(crate) fn death(&self) -> Option<Death> {
        self.death.get().copied()
    }

    fn millis(&self, time: Instant) -> u64 {
        let millis = time.saturating_duration_since(self.born).as_millis();
        u64::try_from(millis).unwrap_or(u64::MAX)
    }
}
