//! The leader: counts for all who wait, batch after batch.
//!
//! A batch is claimed, made durable, published, answered, in this order. Batches overlap: while the disk syncs one,
//! the one before it is published and answered, so that the time of the disk is not time lost. Nothing of a batch
//! changes its order by that; `visits.bin` may already show the numbers of the batch that is being synced, as it may
//! those of another instance.
//!
//! A batch whose claim was issued is never claimed again: its visitors would be counted twice. It is finished, or
//! answered with an error: also when the leader is dropped ([`Batch`]'s `Drop`), and when the volume does not answer.

use super::error::CountError;
use super::group::{Inner, Overdue, STALL_LIMIT, Waiting, interrupted, stalled};
use super::platform::Platform;
use super::volume::Claim;
use futures::future::{Either, join3, select};
use std::cell::RefCell;
use std::mem;
use std::pin::pin;
use std::rc::Rc;

/// The task that counts for all who wait.
pub(super) struct Leader<P: Platform> {
    inner: Rc<Inner<P>>,
    done: bool,
}

/// Visitors that are counted together. Those that are left when it is dropped are told that it was interrupted.
struct Batch<P: Platform> {
    inner: Rc<Inner<P>>,
    visitors: RefCell<Vec<Waiting<P::Opener>>>,
    size: u64,
}

/// A batch that is claimed and durable, to be published and answered.
struct Durable<P: Platform> {
    batch: Batch<P>,
    claim: Claim<P::Dir>,
}

impl<P: Platform> Leader<P> {
    pub(super) fn new(inner: Rc<Inner<P>>) -> Self {
        Leader { inner, done: false }
    }

    /// Counts until nobody waits.
    pub(super) async fn run(mut self) {
        let (mut durable, mut dir) = (None, None);
        loop {
            let next = Batch::new(&self.inner);
            if next.size == 0 && durable.is_none() {
                break;
            }
            (durable, dir) = self.step(durable, next, dir).await;
        }
        self.inner.led.set(false);
        self.done = true;
    }

    /// Claims and syncs `next` while `durable` is published and answered. Returns `next` if it is durable, and the
    /// private directory for the claim after it.
    async fn step(
        &self,
        durable: Option<Durable<P>>,
        next: Batch<P>,
        dir: Option<P::Dir>,
    ) -> (Option<Durable<P>>, Option<P::Dir>) {
        let (claim, dir) = {
            let mut work = pin!(self.work(durable.as_ref(), &next, dir));
            let limit = pin!(self.inner.platform.pause(STALL_LIMIT));
            match select(work.as_mut(), limit).await {
                Either::Left((done, _)) => done,
                Either::Right(((), _)) => {
                    let overdue = Overdue::new(self.inner.clone());
                    for batch in durable.iter().map(|d| &d.batch).chain([&next]) {
                        batch.fail(stalled());
                    }
                    Batch::new(&self.inner).fail(stalled());
                    // What is under way may be half done: it ends before anything else begins.
                    let done = work.await;
                    drop(overdue);
                    done
                }
            }
        };
        (claim.map(|claim| Durable { batch: next, claim }), dir)
    }

    async fn work(
        &self,
        durable: Option<&Durable<P>>,
        next: &Batch<P>,
        dir: Option<P::Dir>,
    ) -> (Option<Claim<P::Dir>>, Option<P::Dir>) {
        let volume = &self.inner.volume;
        let mut to_publish = durable;
        // Where others claim too, a claim may take its time: nobody is to wait for the next batch's.
        if volume.contended.get() {
            self.publish(to_publish.take(), None).await;
        }
        let claim = match next.size {
            0 => None,
            visits => match volume.claim(visits, dir).await {
                Ok(claim) => Some(claim),
                Err(error) => {
                    next.fail(error);
                    None
                }
            },
        };
        let sync = async {
            match &claim {
                Some(claim) => volume.make_durable(&claim.found.dir).await,
                None => Ok(()),
            }
        };
        let open = async {
            match &claim {
                Some(_) => volume.open_private().await.ok().flatten(),
                None => None,
            }
        };
        let publish = self.publish(to_publish, claim.as_ref());
        let ((), synced, dir) = join3(publish, sync, open).await;
        match synced {
            Ok(()) => (claim, dir),
            Err(error) => {
                next.fail(error);
                (None, None)
            }
        }
    }

    /// Publishes and answers a batch. `newest` is the claim made since, which has moved the ticket on.
    async fn publish(&self, durable: Option<&Durable<P>>, newest: Option<&Claim<P::Dir>>) {
        let Some(Durable { batch, claim }) = durable else {
            return;
        };
        let volume = &self.inner.volume;
        let published = volume.publish(&newest.unwrap_or(claim).found).await;
        // Something beside this batch may have been told of the failure that the disk reports once.
        match published.and_then(|()| volume.refuse_if_poisoned()) {
            Ok(()) => batch.answer(claim.before),
            Err(error) => batch.fail(error),
        }
    }
}

impl<P: Platform> Drop for Leader<P> {
    fn drop(&mut self) {
        if !self.done {
            self.inner.hand_on();
        }
    }
}

impl<P: Platform> Batch<P> {
    /// Everyone who waits.
    fn new(inner: &Rc<Inner<P>>) -> Self {
        let visitors = mem::take(&mut *inner.waiting.borrow_mut());
        Batch {
            inner: inner.clone(),
            size: visitors.len() as u64,
            visitors: RefCell::new(visitors),
        }
    }

    /// Hands out the numbers after `before`. Visitors who were told otherwise meanwhile hear nothing more.
    fn answer(&self, before: u64) {
        self.inner.metrics.committed(self.size);
        for (number, visitor) in (before + 1..).zip(self.visitors.take()) {
            visitor.counted(number);
        }
    }

    /// Tells everyone who is left the `error`, and logs it once for all of them.
    fn fail(&self, error: CountError) {
        let visitors = self.visitors.take();
        let count = visitors.len();
        if count == 0 {
            return;
        }
        self.inner.metrics.failed(count as u64);
        self.inner
            .platform
            .log(&format!("not counted ({count} in this batch): {error}"));
        let error = Rc::new(error);
        for visitor in visitors {
            visitor.failed(error.clone());
        }
    }
}

impl<P: Platform> Drop for Batch<P> {
    fn drop(&mut self) {
        self.fail(interrupted());
    }
}
