//! Idle connections, in the order in which they became idle: the first one makes room for a new client.
//!
//! A connection is idle when it holds no request and has nothing left to send. So are those that have sent nothing yet,
//! those that send the head of a request byte by byte, and those that wait between two requests.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How long a connection is left alone after it was opened or answered. The client's next request may be on its way: a
/// probe sends it a moment after it has connected.
pub(super) const MIN_IDLE: Duration = Duration::from_millis(100);

/// What a connection does. Its task, its requests and its stream share one.
#[derive(Default)]
pub(super) struct Activity {
    /// Requests begun plus requests ended: odd while one is in flight.
    turns: AtomicUsize,
    /// Whether the client does not take what was sent last.
    unsent: AtomicBool,
    /// Notified when the connection is to close if it is idle.
    asked: Notify,
}

impl Activity {
    /// Notes that a request begins. The caller calls [`Activity::ended`] once.
    pub(super) fn begun(&self) {
        self.turns.fetch_add(1, Relaxed);
    }

    /// Notes that a request has ended: its response is handed over to the connection.
    pub(super) fn ended(&self) {
        self.turns.fetch_add(1, Relaxed);
    }

    /// Notes whether the stream takes no more bytes.
    pub(super) fn set_unsent(&self, unsent: bool) {
        self.unsent.store(unsent, Relaxed);
    }

    /// Returns whether closing the connection would lose nothing. Only right between two polls of the connection.
    pub(super) fn is_idle(&self) -> bool {
        self.turns.load(Relaxed).is_multiple_of(2) && !self.unsent.load(Relaxed)
    }

    /// Waits until the connection is to close if it is idle.
    pub(super) async fn asked(&self) {
        self.asked.notified().await;
    }
}

/// The idle connections of a server.
#[derive(Clone, Default)]
pub(super) struct Idle(Arc<Shared>);

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Notified when [`Idle::ask_longest`] is worth another call.
    changed: Notify,
}

#[derive(Default)]
struct Queue {
    next: u64,
    /// By the order in which they became idle, and since when.
    idle: BTreeMap<u64, (Instant, Arc<Activity>)>,
    /// Whether the last call of [`Idle::ask_longest`] found none.
    starved: bool,
}

impl Idle {
    /// Returns the seat of a new connection, which is not idle before its first [`Seat::settle`].
    pub(super) fn seat(&self, activity: Arc<Activity>) -> Seat {
        Seat {
            idle: self.clone(),
            activity,
            seen: 0,
            place: None,
        }
    }

    /// Has the connection that has been idle longest close. If that is not long enough, returns the rest of the time.
    /// If none is idle, the next one that becomes idle causes [`Idle::changed`].
    pub(super) fn ask_longest(&self) -> Option<Duration> {
        let mut queue = self.queue();
        queue.starved = queue.idle.is_empty();
        let longest = queue.idle.first_entry()?;
        let early = MIN_IDLE.saturating_sub(longest.get().0.elapsed());
        if !early.is_zero() {
            return Some(early);
        }
        let (_, activity) = longest.remove();
        drop(queue);
        activity.asked.notify_one();
        None
    }

    /// Waits until a connection has become idle after none was, or one that was asked has not closed.
    pub(super) async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// Ends the search for a connection to close.
    pub(super) fn found_room(&self) {
        self.queue().starved = false;
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().expect("no holder panics")
    }
}

/// The part of a connection's task in [`Idle`].
pub(super) struct Seat {
    idle: Idle,
    activity: Arc<Activity>,
    /// The turns at the last look.
    seen: usize,
    /// The place in the queue; the entry may have been taken out by [`Idle::ask_longest`].
    place: Option<u64>,
}

impl Seat {
    /// Returns the connection's activity.
    pub(super) fn activity(&self) -> Arc<Activity> {
        self.activity.clone()
    }

    /// Enters the queue or leaves it, as the connection's activity says. Called after each poll of the connection.
    pub(super) fn settle(&mut self) {
        let turns = self.activity.turns.load(Relaxed);
        if turns != self.seen {
            self.seen = turns;
            self.leave();
        }
        if self.place.is_none() && self.activity.is_idle() {
            self.enter();
        }
    }

    /// Notes that the connection stays open although it was asked to close.
    pub(super) fn stay(&mut self) {
        self.leave();
        self.idle.0.changed.notify_one();
    }

    fn enter(&mut self) {
        let mut queue = self.idle.queue();
        let place = queue.next;
        queue.next += 1;
        let entry = (Instant::now(), self.activity.clone());
        queue.idle.insert(place, entry);
        let starved = std::mem::take(&mut queue.starved);
        drop(queue);
        self.place = Some(place);
        if starved {
            self.idle.0.changed.notify_one();
        }
    }

    fn leave(&mut self) {
        if let Some(place) = self.place.take() {
            self.idle.queue().idle.remove(&place);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave();
    }
}
