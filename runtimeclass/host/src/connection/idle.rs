//! Idle connections, in the order in which they became idle: the first one makes room for a new client.
//!
//! A connection is idle when it holds no request and has nothing left to send. So are those that have sent nothing yet,
//! those that send the head of a request byte by byte, and those that wait between two requests.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How long a connection is left alone after it was opened or answered. The client's next request may be on its way: a
/// probe sends it a moment after it has connected.
pub(super) const MIN_IDLE: Duration = Duration::from_millis(100);

/// What a connection does. Its task, its requests and its stream share one.
pub(super) struct Activity {
    opened: Instant,
    /// Requests in flight.
    open: AtomicUsize,
    /// Requests begun plus requests ended.
    turns: AtomicUsize,
    /// Whether the client does not take what was sent last.
    unsent: AtomicBool,
    /// Bytes read and written, to see whether there were any.
    moved: AtomicUsize,
    /// Whether bytes that arrive between two requests are the head of one. They may also be the rest of a body that was
    /// answered before its end, or frames of HTTP/2.
    sends_heads: AtomicBool,
    /// Milliseconds after `opened` at which the first byte of a head arrived, plus 1; 0 if none has.
    first_byte: AtomicU64,
    /// Whether the connection is to close even if it is not idle.
    leaving: AtomicBool,
    /// Notified when the connection is to close.
    asked: Notify,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self {
            opened: Instant::now(),
            open: AtomicUsize::new(0),
            turns: AtomicUsize::new(0),
            unsent: AtomicBool::new(false),
            moved: AtomicUsize::new(0),
            sends_heads: AtomicBool::new(true),
            first_byte: AtomicU64::new(0),
            leaving: AtomicBool::new(false),
            asked: Notify::new(),
        }
    }

    /// Notes that a request begins. The caller calls [`Activity::ended`] once.
    pub(super) fn begun(&self, has_body: bool) {
        self.open.fetch_add(1, Relaxed);
        self.turns.fetch_add(1, Relaxed);
        self.sends_heads.store(!has_body, Relaxed);
        self.first_byte.store(0, Relaxed);
    }

    /// Notes that the client sends frames from now on, and so has completed its first head.
    fn begun_frames(&self) {
        self.sends_heads.store(false, Relaxed);
        self.first_byte.store(0, Relaxed);
    }

    /// Notes that a request has ended: its response is handed over to the connection.
    pub(super) fn ended(&self) {
        self.open.fetch_sub(1, Relaxed);
        self.turns.fetch_add(1, Relaxed);
    }

    /// Notes that bytes have arrived.
    pub(super) fn heard(&self, bytes: usize) {
        self.moved.fetch_add(bytes, Relaxed);
        let begins_head = self.open.load(Relaxed) == 0
            && self.sends_heads.load(Relaxed)
            && self.first_byte.load(Relaxed) == 0;
        if begins_head {
            let now = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
            self.first_byte.store(now + 1, Relaxed);
        }
    }

    /// Notes that bytes were sent.
    pub(super) fn sent(&self, bytes: usize) {
        self.moved.fetch_add(bytes, Relaxed);
    }

    /// Returns a number that changes when bytes are received or sent.
    pub(super) fn moved(&self) -> usize {
        self.moved.load(Relaxed)
    }

    /// Returns when the first byte of the head that is incomplete arrived.
    fn head_begun(&self) -> Option<Instant> {
        let millis = self.first_byte.load(Relaxed).checked_sub(1)?;
        Some(self.opened + Duration::from_millis(millis))
    }

    /// Notes whether the stream takes no more bytes.
    pub(super) fn set_unsent(&self, unsent: bool) {
        self.unsent.store(unsent, Relaxed);
    }

    /// Returns whether closing the connection would lose nothing. Only right between two polls of the connection.
    pub(super) fn is_idle(&self) -> bool {
        self.open.load(Relaxed) == 0 && !self.unsent.load(Relaxed)
    }

    /// Has the connection close after the requests that it holds.
    pub(super) fn leave(&self) {
        self.leaving.store(true, Relaxed);
        self.asked.notify_one();
    }

    /// Returns whether the connection is to close now that it was asked to.
    pub(super) fn may_close(&self) -> bool {
        self.leaving.load(Relaxed) || self.is_idle()
    }

    /// Waits until the connection is asked to close.
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
    pub(super) fn seat(&self, activity: Arc<Activity>, patience: Patience) -> Seat {
        Seat {
            idle: self.clone(),
            activity,
            patience,
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
    patience: Patience,
    /// The turns at the last look.
    seen: usize,
    /// The place in the queue, and since when; the entry may have been taken out by [`Idle::ask_longest`].
    place: Option<(u64, Instant)>,
}

/// How long a client may take for what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// For the head of a request, and for the first byte on a new connection.
    pub(super) head: Duration,
    /// Between two requests.
    pub(super) idle: Duration,
    /// To take a piece of a response.
    pub(super) unread: Duration,
}

/// What a client has taken too long for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    Head,
    Idle,
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

    /// Notes that the client speaks HTTP/2. Bytes on such a connection need not be the head of a request: it counts as
    /// idle until a request has begun, and a head that has begun is limited by its size.
    pub(super) fn speaks_http2(&mut self) {
        self.patience.head = self.patience.idle;
        self.activity.begun_frames();
    }

    /// Returns when the connection is to be looked at next, and for which reason it is closed if nothing happens.
    pub(super) fn due(&self) -> Option<(Instant, Overdue)> {
        let (_, since) = self.place?;
        if let Some(begun) = self.activity.head_begun() {
            return Some((begun + self.patience.head, Overdue::Head));
        }
        // Nothing was asked yet.
        if self.seen == 0 {
            return Some((since + self.patience.head, Overdue::Head));
        }
        Some((since + self.patience.idle, Overdue::Idle))
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
        let since = Instant::now();
        queue.idle.insert(place, (since, self.activity.clone()));
        let starved = std::mem::take(&mut queue.starved);
        drop(queue);
        self.place = Some((place, since));
        if starved {
            self.idle.0.changed.notify_one();
        }
    }

    fn leave(&mut self) {
        if let Some((place, _)) = self.place.take() {
            self.idle.queue().idle.remove(&place);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave();
    }
}
