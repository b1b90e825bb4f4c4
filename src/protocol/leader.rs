//! The leader: counts for all who wait, batch after batch.
//!
//! A batch is claimed, made durable, published, answered, in this order. Batches overlap: while the disk syncs one,
//! the one before it is published and answered, so that the time of the disk is not time lost. Nothing of a batch
//! changes its order by that; `visits.bin` may already show the numbers of the batch that is being synced, as it may
//! those of another instance.
//!
//! A batch whose claim was issued is never claimed again: its visitors would be counted twice. It is finished, or
//! answered with an error: also when the leader is dropped (`Batch`'s `Drop`), and when the volume does not answer.

use super::directory::Directory;
use super::error::CountError;
use super::group::{Inner, Overdue, STALL_LIMIT, Waiting, interrupted, stalled};
use super::platform::Platform;
use super::volume::{Claim, Opened};
use futures::future::{Either, join, select};
use std::cell::RefCell;
use std::mem;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::Duration;

/// How long the private directory and `visits.bin` are used before they are opened anew: what an operator has moved
/// away, or replaced, is not counted in for longer.
const REOPEN: Duration = Duration::from_millis(500);

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

/// What is open between claims, and since when.
struct Kept<D: Directory> {
    opened: Opened<D>,
    at: Duration,
}

/// One timer for many steps, each of which is far shorter than the limit: making a timer is a call to the host.
struct Alarm<P: Platform> {
    platform: Rc<P>,
    timer: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

impl<P: Platform> Alarm<P> {
    fn new(platform: Rc<P>) -> Self {
        Alarm {
            platform,
            timer: None,
        }
    }

    /// Waits until `limit` has passed from now on.
    async fn after(&mut self, limit: Duration) {
        let end = self.platform.now() + limit;
        loop {
            let now = self.platform.now();
            if now >= end {
                return;
            }
            let timer = self.timer.get_or_insert_with(|| {
                let platform = self.platform.clone();
                Box::pin(async move { platform.pause(end - now).await })
            });
            timer.await;
            self.timer = None;
        }
    }
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
        let mut alarm = Alarm::new(self.inner.platform.clone());
        let (mut durable, mut kept) = (None, None);
        loop {
            let next = Batch::new(&self.inner);
            if next.size == 0 && durable.is_none() {
                break;
            }
            durable = self.step(durable, next, &mut kept, &mut alarm).await;
        }
        self.inner.led.set(false);
        self.done = true;
    }

    /// Claims and syncs `next` while `durable` is published and answered. Returns `next` if it is durable.
    async fn step(
        &self,
        durable: Option<Durable<P>>,
        next: Batch<P>,
        kept: &mut Option<Kept<P::Dir>>,
        alarm: &mut Alarm<P>,
    ) -> Option<Durable<P>> {
        let claim = {
            let mut work = pin!(self.work(durable.as_ref(), &next, kept));
            let limit = pin!(alarm.after(STALL_LIMIT));
            match select(work.as_mut(), limit).await {
                Either::Left((claim, _)) => claim,
                Either::Right(((), _)) => {
                    let overdue = Overdue::new(self.inner.clone());
                    for batch in durable.iter().map(|d| &d.batch).chain([&next]) {
                        batch.fail(stalled());
                    }
                    Batch::new(&self.inner).fail(stalled());
                    // What is under way may be half done: it ends before anything else begins.
                    let claim = work.await;
                    drop(overdue);
                    claim
                }
            }
        };
        claim.map(|claim| Durable { batch: next, claim })
    }

    async fn work(
        &self,
        durable: Option<&Durable<P>>,
        next: &Batch<P>,
        kept: &mut Option<Kept<P::Dir>>,
    ) -> Option<Claim<P::Dir>> {
        let volume = &self.inner.volume;
        let mut to_publish = durable;
        // Where others claim too, a claim may take its time: nobody is to wait for the next batch's.
        if volume.contended.get() {
            self.publish(to_publish.take(), None).await;
        }
        let claim = self.claim(next, kept).await;
        let sync = async {
            match &claim {
                Some(claim) => volume.make_durable(&claim.found.dir).await,
                None => Ok(()),
            }
        };
        let publish = self.publish(to_publish, claim.as_ref());
        let ((), synced) = join(publish, sync).await;
        match synced {
            Ok(()) => claim,
            Err(error) => {
                next.fail(error);
                None
            }
        }
    }

    /// Claims for a batch, if anyone is in it.
    async fn claim(
        &self,
        batch: &Batch<P>,
        kept: &mut Option<Kept<P::Dir>>,
    ) -> Option<Claim<P::Dir>> {
        if batch.size == 0 {
            return None;
        }
        let volume = &self.inner.volume;
        let now = self.inner.platform.now();
        // After a failed write, `visits.bin` is tried again before anything is claimed.
        let fresh = kept
            .take()
            .filter(|kept| now <= kept.at + REOPEN && volume.writable.get());
        let at = fresh.as_ref().map_or(now, |kept| kept.at);
        let claimed = volume.claim(batch.size, fresh.map(|kept| kept.opened));
        match claimed.await {
            Ok(claim) => {
                let opened = Opened {
                    dir: claim.found.dir.clone(),
                    record: claim.record.clone(),
                };
                *kept = Some(Kept { opened, at });
                Some(claim)
            }
            Err(error) => {
                batch.fail(error);
                None
            }
        }
    }

    /// Publishes and answers a batch. `newest` is the claim made since, which has moved the ticket on.
    async fn publish(&self, durable: Option<&Durable<P>>, newest: Option<&Claim<P::Dir>>) {
        let Some(Durable { batch, claim }) = durable else {
            return;
        };
        let volume = &self.inner.volume;
        let published = match newest {
            Some(newest) => volume.publish_claimed(newest).await,
            None => volume.publish(claim).await,
        };
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
