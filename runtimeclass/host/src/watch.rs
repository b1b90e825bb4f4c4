//! Which requests are overdue, and when that is reason to replace an instance.
//!
//! A request is watched from the moment it waits for an instance until the head of its response is made. Its time
//! starts when an instance takes it and starts again with every piece of body its client sends; while the component
//! waits for the client, the client's own limits apply ([`crate::body`]), so a slow client costs only itself.
//!
//! A request whose time is over gets its 504 from [`crate::guest`], and its instance goes on: the others that it holds
//! are answered. Before that the component was told, by errors of what it waits for outside (`crate::send`). An instance
//! is replaced only if it does not react:
//! - it stands still: it computes, or is in a call that blocks it whole, for longer than the time limit
//! - it neither ends the overdue request within [`GRACE`] nor has answered another one in the second half of that time
//! - it holds [`MAX_STUCK`] requests that are overdue
//!
//! In the last two cases it takes no more requests, and ends when the others that it holds are answered.
//!
//! An instance is judged from two places: a timer outside its event loop, which finds what waits for ever, and the
//! engine's epoch, which interrupts what computes for ever and lets no timer have its turn.

mod life;
mod progress;
#[cfg(test)]
mod tests;

pub(crate) use life::{Death, Life};
pub(crate) use progress::{Progress, Ticket};

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// How long a component has to end a request after it was told, beyond the time limit.
pub(crate) const GRACE: Duration = Duration::from_secs(1);
/// Overdue requests that an instance may hold: half of what it has threads for file calls.
const MAX_STUCK: usize = crate::guest::FILE_THREADS / 2;

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

/// What becomes of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It goes on.
    Lives,
    /// It takes no more requests, and ends when it has answered those it holds.
    Retires,
    /// It ends, with the requests it holds.
    Dies(Death),
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
        let progress = Arc::new(Progress::new(self.start, self.limit));
        let mut requests = self.requests();
        let id = requests.next;
        requests.next += 1;
        requests.watched.insert(id, progress.clone());
        Ticket::new(self.clone(), id, progress)
    }

    fn forget(&self, id: u64) {
        self.requests().watched.remove(&id);
    }

    /// From now on every instance is judged dead: the host stops and waits no longer.
    pub(crate) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }

    /// Judges an instance.
    pub(crate) fn judge(&self, life: &Arc<Life>, now: Instant) -> Verdict {
        if self.abandoned.load(Ordering::Relaxed) {
            return Verdict::Dies(Death::Abandoned);
        }
        let requests = self.requests();
        // A component that computes for ever after its last answer harms nobody before a request comes.
        if !requests.watched.is_empty() && now > life.moved() + self.limit + life.patience() {
            return Verdict::Dies(Death::Overdue);
        }
        let (mut held, mut stuck, mut silent) = (0, 0, life.is_retiring());
        for progress in requests.watched.values().filter(|one| one.is_held_by(life)) {
            held += 1;
            if now > progress.ends() {
                stuck += 1;
                silent |= now > progress.ends() + GRACE
                    && life.answered() < Some(progress.since() + self.limit / 2);
            }
        }
        match silent || stuck >= MAX_STUCK {
            false => Verdict::Lives,
            true if stuck == held => Verdict::Dies(Death::Overdue),
            true => Verdict::Retires,
        }
    }

    /// Returns how many of the requests that an instance holds are overdue.
    pub(crate) fn overdue(&self, life: &Arc<Life>, now: Instant) -> usize {
        let requests = self.requests();
        let overdue = |one: &&Arc<Progress>| one.is_held_by(life) && now > one.ends();
        requests.watched.values().filter(overdue).count()
    }

    /// Resolves when an instance is to end. Looks at it every `tick`, and has it move before.
    pub(crate) async fn death(&self, life: &Arc<Life>, tick: Duration) -> Death {
        let mut ticks = tokio::time::interval(tick);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match self.judge(life, Instant::now()) {
                Verdict::Lives => {}
                Verdict::Retires => life.retire(),
                Verdict::Dies(death) => return death,
            }
            life.stir();
        }
    }

    fn requests(&self) -> MutexGuard<'_, Requests> {
        // Nothing under the lock can panic half-way.
        self.requests
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
