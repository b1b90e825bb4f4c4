//! Idle connections in the order in which they became idle. The first one is closed to make room for a new client.
//!
//! A connection is idle when it holds no request and has nothing left to send. This includes connections that have sent
//! nothing yet, that send the head of a request byte by byte, or that wait between two requests.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How long a connection stays open after it was opened or answered. The client's next request may be on its way: a
/// probe sends one a moment after it has connected.
pub(super) const MIN_IDLE: Duration = Duration::from_millis(100);

/// The activity of a connection, shared by its task, its requests and its stream.
pub(super) struct Activity {
    opened: Instant,
    /// Requests in flight.
    open: AtomicUsize,
    /// Requests begun plus requests ended, so that every change is seen.
    turns: AtomicUsize,
    /// Whether the client has not taken the bytes that were written last.
    unsent: AtomicBool,
    /// Bytes read and written. Only changes matter.
    moved: AtomicUsize,
    /// Whether bytes that arrive between two requests begin a head. They may also be the rest of a body whose request
    /// was answered early, or HTTP/2 frames.
    sends_heads: AtomicBool,
    /// Milliseconds after `opened` at which the first byte of a head arrived, plus 1; 0 if none has.
    first_byte: AtomicU64,
    /// Whether the connection closes even if it is busy.
    leaving: AtomicBool,
    /// Notified to request the connection's close.
    close_requested: Notify,
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
            close_requested: Notify::new(),
        }
    }

    /// Notes that a request begins. The caller must call [`Activity::ended`] once.
    pub(super) fn begun(&self, has_body: bool) {
        self.open.fetch_add(1, Relaxed);
        self.turns.fetch_add(1, Relaxed);
        self.sends_heads.store(!has_body, Relaxed);
        self.first_byte.store(0, Relaxed);
    }

    /// Notes that the client sends HTTP/2 frames from now on. Its preface counts as a complete head.
    fn begun_frames(&self) {
        self.sends_heads.store(false, Relaxed);
        self.first_byte.store(0, Relaxed);
    }

    /// Notes that a request has ended, because its response was handed to the connection.
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

    /// Returns when the first byte of an incomplete head arrived.
    fn head_begun(&self) -> Option<Instant> {
        let millis = self.first_byte.load(Relaxed).checked_sub(1)?;
        Some(self.opened + Duration::from_millis(millis))
    }

    /// Notes whether the stream currently refuses bytes.
    pub(super) fn set_unsent(&self, unsent: bool) {
        self.unsent.store(unsent, Relaxed);
    }

    /// Returns whether closing the connection would lose nothing. Valid only between two polls of the connection.
    pub(super) fn is_idle(&self) -> bool {
        self.open.load(Relaxed) == 0 && !self.unsent.load(Relaxed)
    }

    /// Requests that the connection close after the requests that it holds.
    pub(super) fn leave(&self) {
        self.leaving.store(true, Relaxed);
        self.close_requested.notify_one();
    }

    /// Returns whether the connection may close now that its close was requested.
    pub(super) fn may_close(&self) -> bool {
        self.leaving.load(Relaxed) || self.is_idle()
    }

    /// Waits until the connection's close is requested.
    pub(super) async fn close_requested(&self) {
        self.close_requested.notified().await;
    }
}

/// The idle connections of a server.
#[derive(Clone, Default)]
pub(super) struct Idle(Arc<Shared>);

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Notified when another call of [`Idle::close_longest`] may succeed.
    changed: Notify,
}

#[derive(Default)]
struct Queue {
    next: u64,
    /// The idle connections and since when, by the order in which they became idle.
    idle: BTreeMap<u64, (Instant, Arc<Activity>)>,
    /// Whether the last call of [`Idle::close_longest`] found no idle connection.
    starved: bool,
}

impl Idle {
    /// Returns a seat for a new connection. The connection is not idle before its first [`Seat::settle`].
    pub(super) fn seat(&self, activity: Arc<Activity>, patience: Patience) -> Seat {
        Seat {
            idle: self.clone(),
            activity,
            patience,
            seen: 0,
            place: None,
        }
    }

    /// Requests the close of the connection that has been idle longest. Returns the remaining time if it has been idle
    /// for less than [`MIN_IDLE`]. If no connection is idle, the next one that becomes idle triggers [`Idle::changed`].
    pub(super) fn close_longest(&self) -> Option<Duration> {
        let mut queue = self.queue();
        queue.starved = queue.idle.is_empty();
        let longest = queue.idle.first_entry()?;
        let early = MIN_IDLE.saturating_sub(longest.get().0.elapsed());
        if !early.is_zero() {
            return Some(early);
        }
        let (_, activity) = longest.remove();
        drop(queue);
        activity.close_requested.notify_one();
        None
    }

    /// Waits until a connection becomes idle after [`Idle::close_longest`] found none, or until one stays open although
    /// its close was requested.
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

/// A connection's seat in [`Idle`], held by its task.
pub(super) struct Seat {
    idle: Idle,
    activity: Arc<Activity>,
    patience: Patience,
    /// The activity's turns when [`Seat::settle`] last looked.
    seen: usize,
    /// The key in the queue, and since when. [`Idle::close_longest`] may have removed the entry.
    place: Option<(u64, Instant)>,
}

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// To send the head of a request, and the first byte on a new connection.
    pub(super) head: Duration,
    /// To send the next request.
    pub(super) idle: Duration,
    /// To take a piece of a response.
    pub(super) unread: Duration,
}

/// The limit that a client has exceeded.
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

    /// Enters or leaves the queue according to the connection's activity. Called after each poll of the connection.
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

    /// Notes that the client uses HTTP/2. Bytes on such a connection may be other frames than a request's, so it counts
    /// as idle until a request has begun. The size of a head limits one that has begun.
    pub(super) fn speaks_http2(&mut self) {
        self.patience.head = self.patience.idle;
        self.activity.begun_frames();
    }

    /// Returns when the connection becomes overdue, and by which limit, if nothing happens until then.
    pub(super) fn due(&self) -> Option<(Instant, Overdue)> {
        let (_, since) = self.place?;
        if let Some(begun) = self.activity.head_begun() {
            return Some((begun + self.patience.head, Overdue::Head));
        }
        // No request has arrived yet.
        if self.seen == 0 {
            return Some((since + self.patience.head, Overdue::Head));
        }
        Some((since + self.patience.idle, Overdue::Idle))
    }

    /// Notes that the connection stays open although its close was requested.
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
