//! Decides which requests are overdue, and when an instance is replaced.
//!
//! A request is watched from the moment it waits for an instance until the head of its response is made. Its time
//! starts when an instance takes it, and starts again with every piece of body that its client sends. While the
//! component waits for the client, the client's own limits apply ([`crate::body`]), so a slow client costs only itself.
//!
//! A request that exceeds its time limit gets a 504 from [`crate::guest`], and its instance continues to answer its
//! other requests. The component was notified before that, because its outbound requests for this request failed
//! (`crate::send`). An instance is replaced only if it does not react:
//! - It stands still for longer than the time limit: it computes, or is in a call that blocks it.
//! - It has not ended the overdue request within [`GRACE`], and has answered no other request in the second half of
//!   that request's time.
//! - It holds [`MAX_STUCK`] overdue requests.
//!
//! In the last two cases it takes no more requests, and ends when its other requests are answered.
//!
//! An instance is checked from two places. A timer outside its event loop finds an instance that waits forever. The
//! engine's epoch interrupts an instance that computes forever, which would block any timer.

mod life;
mod progress;
#[cfg(test)]
mod tests;

pub(crate) use life::{Cause, Life};
pub(crate) use progress::{Progress, Watched};

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// How much longer than the time limit a component may take to end a request after its outbound requests have failed. The next
/// visitor may have to wait that long for an instance that computes for ever, and must be served within a second.
pub(crate) const GRACE: Duration = Duration::from_millis(500);
/// Maximum number of overdue requests that an instance may hold: half of its threads for file calls.
const MAX_STUCK: usize = crate::limits::FILE_THREADS / 2;

/// The watched requests of one component.
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

/// The result of checking an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The instance continues.
    Lives,
    /// The instance takes no more requests, and ends when it has answered the ones it holds.
    Retires,
    /// The instance ends, and its requests fail.
    Ends(Cause),
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

    /// Watches a request until the returned value is dropped.
    pub(crate) fn register(self: &Arc<Self>) -> Watched {
        let progress = Arc::new(Progress::new(self.start, self.limit));
        let mut requests = self.requests();
        let id = requests.next;
        requests.next += 1;
        requests.watched.insert(id, progress.clone());
        Watched::new(self.clone(), id, progress)
    }

    fn forget(&self, id: u64) {
        self.requests().watched.remove(&id);
    }

    /// Makes [`Watch::judge`] end every instance from now on, because the host stops and the drain timeout has passed.
    pub(crate) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }

    /// Checks an instance.
    pub(crate) fn judge(&self, life: &Arc<Life>, now: Instant) -> Verdict {
        if self.abandoned.load(Ordering::Relaxed) {
            return Verdict::Ends(Cause::Abandoned);
        }
        let requests = self.requests();
        // A component that computes forever after its last response does no harm until the next request.
        if !requests.watched.is_empty() && now > life.moved() + self.limit + life.patience() {
            return Verdict::Ends(Cause::Overdue);
        }
        let (mut held, mut stuck, mut silent) = (0, 0, life.is_retiring());
        for progress in requests.watched.values().filter(|one| one.is_held_by(life)) {
            held += 1;
            if now > progress.ends() {
                stuck += 1;
                silent |= now > progress.ends() + GRACE
                    && life.answered() < progress.since() + self.limit / 2;
            }
        }
        match silent || stuck >= MAX_STUCK {
            false => Verdict::Lives,
            true if stuck == held => Verdict::Ends(Cause::Overdue),
            true => Verdict::Retires,
        }
    }

    /// Returns the number of overdue requests that an instance holds.
    pub(crate) fn overdue(&self, life: &Arc<Life>, now: Instant) -> usize {
        let requests = self.requests();
        let overdue = |one: &&Arc<Progress>| one.is_held_by(life) && now > one.ends();
        requests.watched.values().filter(overdue).count()
    }

    /// Waits until an instance must end. Checks it every `tick`, and wakes its event loop between checks.
    pub(crate) async fn end(&self, life: &Arc<Life>, tick: Duration) -> Cause {
        let mut ticks = tokio::time::interval(tick);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match self.judge(life, Instant::now()) {
                Verdict::Lives => {}
                Verdict::Retires => life.retire(),
                Verdict::Ends(cause) => return cause,
            }
            life.stir();
        }
    }

    fn requests(&self) -> MutexGuard<'_, Requests> {
        // Nothing under the lock can panic halfway.
        self.requests
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
