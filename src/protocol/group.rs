//! Group commit: one leader per instance counts for everyone who is waiting.
//!
//! A visitor takes a seat in the queue. The first one finds no leader, and starts one ([`super::leader`]) beside its
//! own request. The leader takes the whole queue as a batch, counts it with one rename and one sync, hands out the
//! numbers, and goes on while visitors are waiting. Those who arrive while the disk works are the next batch.
//!
//! Should the leader be dropped, because its host cancels the request that it runs beside, one of those who wait
//! takes over. Should the volume not answer, nobody waits longer than [`STALL_LIMIT`].

use super::error::{CountError, CountResult};
use super::leader::Leader;
use super::platform::Platform;
use super::volume::{ROOT, Volume};
use crate::metrics::Metrics;
use anyhow::anyhow;
use futures::future::{Either, select};
use std::cell::{Cell, RefCell};
use std::mem;
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

/// How long visitors wait for a volume that does not answer. Below a host's usual time limit of 30 s, so that
/// the visitor is told the cause and the instance lives on.
pub const STALL_LIMIT: Duration = Duration::from_secs(10);

/// Why visitors of one batch were not counted: shared by all of them.
pub type SharedError = Rc<CountError>;

/// The counter of one instance. A clone is another handle to the same one.
pub struct Counter<P: Platform>(Rc<Inner<P>>);

/// What all handles to a counter, and its leader, share.
pub(super) struct Inner<P: Platform> {
    pub(super) platform: Rc<P>,
    pub(super) metrics: Rc<Metrics>,
    pub(super) volume: Volume<P>,
    pub(super) waiting: RefCell<Vec<Waiting<P::Opener>>>,
    pub(super) led: Cell<bool>,
    /// How much work the volume has not answered within [`STALL_LIMIT`]. While there is any, nobody waits for more.
    overdue: Cell<u32>,
}

/// A visitor in the queue. Dropping it opens the visitor's gate.
pub(super) struct Waiting<O> {
    seat: Rc<Seat>,
    _opener: O,
}

impl<O> Waiting<O> {
    /// Lets the visitor go, counted.
    pub(super) fn counted(self, number: u64) {
        self.seat.0.replace(Some(Outcome::Counted(number)));
    }

    /// Lets the visitor go, with an error.
    pub(super) fn failed(self, error: SharedError) {
        self.seat.0.replace(Some(Outcome::Failed(error)));
    }
}

/// Where a waiting visitor finds its outcome.
#[derive(Default)]
struct Seat(RefCell<Option<Outcome>>);

enum Outcome {
    Counted(u64),
    Failed(SharedError),
    /// The leader is gone: queue again and lead.
    Lead,
}

impl<P: Platform> Clone for Counter<P> {
    fn clone(&self) -> Self {
        Counter(self.0.clone())
    }
}

impl<P: Platform> Counter<P> {
    /// A counter on the volume that `platform` preopened.
    pub fn new(platform: Rc<P>, metrics: Rc<Metrics>) -> Self {
        Counter(Rc::new(Inner {
            volume: Volume::new(platform.clone(), metrics.clone()),
            platform,
            metrics,
            waiting: RefCell::default(),
            led: Cell::new(false),
            overdue: Cell::new(0),
        }))
    }

    /// What this instance has measured.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// Counts one visit. Returns its number, which no other visit ever gets, once it is durable and published.
    ///
    /// # Errors
    /// The visit is not acknowledged. It was counted only if something failed after its number was claimed.
    pub async fn visit(&self) -> Result<u64, SharedError> {
        let inner = &self.0;
        if inner.overdue.get() > 0 {
            return Err(Rc::new(stalled()));
        }
        let mut lead = !inner.led.replace(true);
        loop {
            let seat = Rc::new(Seat::default());
            let guard = SeatGuard { inner, seat: &seat };
            let (opener, gate) = inner.platform.gate();
            inner.waiting.borrow_mut().push(Waiting {
                seat: seat.clone(),
                _opener: opener,
            });
            if mem::take(&mut lead) {
                inner.platform.spawn(Leader::new(inner.clone()).run());
            }
            gate.await;
            match guard.take() {
                Some(Outcome::Counted(number)) => return Ok(number),
                Some(Outcome::Failed(error)) => return Err(error),
                Some(Outcome::Lead) => lead = true,
                None => return Err(Rc::new(interrupted())),
            }
        }
    }

    /// The number of visits counted so far, 0 before the first; does not count.
    ///
    /// # Errors
    /// The volume cannot be read, or what is on it is no count.
    pub async fn current(&self) -> CountResult<u64> {
        let inner = self.0.clone();
        let current = async move { inner.volume.current().await };
        let current = self.within_limit(current).await;
        self.logged("the count cannot be told", current)
    }

    /// Whether a visit could be counted now; does not count.
    ///
    /// # Errors
    /// What a visitor would be told.
    pub async fn probe(&self) -> CountResult<()> {
        let inner = self.0.clone();
        let probed = async move { inner.volume.probe().await };
        let probed = self.within_limit(probed).await;
        self.logged("not ready", probed)
    }

    /// Since when the volume has been counted on, if it has, and the file system tells.
    pub async fn since(&self) -> Option<SystemTime> {
        let inner = self.0.clone();
        let since = async move { Ok(inner.volume.since().await) };
        self.within_limit(since).await.ok().flatten()
    }

    fn logged<T>(&self, what: &str, result: CountResult<T>) -> CountResult<T> {
        if let Err(error) = &result {
            self.0.platform.log(&format!("{what}: {error}"));
        }
        result
    }

    /// Waits for `work` no longer than a visitor waits. It runs beside the caller, to its end: a read or write that
    /// is dropped under way is cancelled synchronously (wit-bindgen 0.57), and the whole instance would stand still
    /// until the volume answers; and a publisher dropped between its write and its second look may leave
    /// `visits.bin` behind.
    async fn within_limit<T: 'static>(
        &self,
        work: impl Future<Output = CountResult<T>> + 'static,
    ) -> CountResult<T> {
        let inner = self.0.clone();
        if inner.overdue.get() > 0 {
            return Err(stalled());
        }
        let (opener, gate) = inner.platform.gate();
        let result = Rc::new(RefCell::new(None));
        let overdue = Rc::new(RefCell::new(None));
        let (result_slot, overdue_slot) = (result.clone(), overdue.clone());
        inner.platform.spawn(async move {
            result_slot.replace(Some(work.await));
            overdue_slot.take();
            drop(opener);
        });
        match select(pin!(gate), pin!(inner.platform.pause(STALL_LIMIT))).await {
            Either::Left(_) => result.take().unwrap_or_else(|| Err(interrupted())),
            Either::Right(_) => {
                overdue.replace(Some(Overdue::new(inner.clone())));
                Err(stalled())
            }
        }
    }
}

/// Work that the volume has not answered in time, until it is dropped.
pub(super) struct Overdue<P: Platform>(Rc<Inner<P>>);

impl<P: Platform> Overdue<P> {
    pub(super) fn new(inner: Rc<Inner<P>>) -> Self {
        inner.overdue.set(inner.overdue.get() + 1);
        Overdue(inner)
    }
}

impl<P: Platform> Drop for Overdue<P> {
    fn drop(&mut self) {
        self.0.overdue.set(self.0.overdue.get() - 1);
    }
}

impl<P: Platform> Inner<P> {
    /// Makes the first living visitor of the queue the leader, or leaves the queue without one.
    pub(super) fn hand_on(&self) {
        loop {
            let next = {
                let mut waiting = self.waiting.borrow_mut();
                if waiting.is_empty() {
                    self.led.set(false);
                    return;
                }
                waiting.remove(0)
            };
            // A visitor that has left holds its seat no more.
            if Rc::strong_count(&next.seat) > 1 {
                next.seat.0.replace(Some(Outcome::Lead));
                return;
            }
        }
    }
}

/// A visitor's hold on its seat. A visitor that was called to lead and left before it could, hands on.
struct SeatGuard<'a, P: Platform> {
    inner: &'a Rc<Inner<P>>,
    seat: &'a Rc<Seat>,
}

impl<P: Platform> SeatGuard<'_, P> {
    fn take(&self) -> Option<Outcome> {
        self.seat.0.take()
    }
}

impl<P: Platform> Drop for SeatGuard<'_, P> {
    fn drop(&mut self) {
        if matches!(self.take(), Some(Outcome::Lead)) {
            self.inner.hand_on();
        }
    }
}

pub(super) fn stalled() -> CountError {
    CountError::unavailable(anyhow!(
        "{ROOT} has not answered for {STALL_LIMIT:?}: is its storage still there?"
    ))
}

pub(super) fn interrupted() -> CountError {
    CountError::unavailable(anyhow!(
        "the host cancelled the request that was counting for this one"
    ))
}
