//! The leader: the task that counts for everyone who waits, batch after batch.
//!
//! A batch is claimed, made durable, published, confirmed and answered, in this order. Batches overlap: while the disk
//! syncs one, the batch before it is published and answered, so that the disk's time is not lost. The order within a batch
//! does not change. `visits.bin` may already show the numbers of a batch that is being synced, as it may show another
//! instance's.
//!
//! A batch is never claimed twice, because its visitors would be counted twice. After its claim it is finished, or answered
//! with an error: also if the leader is dropped (`Batch`'s `Drop`), and if the volume does not respond.

use super::claim::{Claim, Opened};
use super::error::{CountError, CountResult};
use super::inner::Inner;
use super::platform::Platform;
use super::queue::{Outcome, Waiting};
use super::record;
use super::rule::{Rule, kept};
use super::stall::{Deadline, STALL_LIMIT, stalled};
use super::turn;
use futures::future::{Either, join, select};
use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

/// How long the private directory and `visits.bin` are used before they are opened anew. This bounds how long visits are
/// counted in files that an operator has moved away or replaced.
const REOPEN: Duration = Duration::from_millis(500);

/// How long the leader waits for the next visitor before it closes these files. A client that visits again at once is back
/// in less, and opening the files takes a third of a visit's time. While they are open, the volume cannot be remounted
/// read-only.
const LINGER: Duration = Duration::from_millis(2);

/// The task that counts for everyone who waits.
pub(super) struct Leader<P: Platform> {
    inner: Rc<Inner<P>>,
    done: bool,
    /// Whether it is another instance's turn.
    turn_over: Cell<bool>,
}

/// Visitors who are counted together. Those who are left when it is dropped get an error.
struct Batch<P: Platform> {
    inner: Rc<Inner<P>>,
    visitors: RefCell<Vec<Waiting<P::Opener>>>,
    size: u64,
}

/// What stays open between claims, and when it was opened.
struct Kept<P: Platform> {
    opened: Opened<P>,
    at: Duration,
}

/// A batch that is claimed and durable, to be published and answered.
struct Durable<P: Platform> {
    batch: Batch<P>,
    claim: Claim<P>,
}

impl<P: Platform> Leader<P> {
    /// Returns a leader for the visitors of `inner`.
    pub(super) fn new(inner: Rc<Inner<P>>) -> Self {
        inner.claims.set_busy(true);
        Leader {
            inner,
            done: false,
            turn_over: Cell::new(false),
        }
    }

    /// Counts until nobody waits.
    pub(super) async fn run(mut self) {
        let mut deadline = Deadline::new(self.inner.platform.clone());
        let (mut durable, mut kept) = (None, None);
        loop {
            if self.turn_over.get() {
                let nobody = Batch::of(&self.inner, Vec::new());
                durable = self.step(durable, nobody, &mut kept, &mut deadline).await;
                self.turn_over.set(false);
                self.inner.platform.pause(turn::PAUSE).await;
            }
            let next = Batch::new(&self.inner);
            if next.size == 0 && durable.is_none() && !self.inner.publisher.is_unsettled() {
                if kept.is_some() && self.somebody_comes().await {
                    continue;
                }
                break;
            }
            durable = self.step(durable, next, &mut kept, &mut deadline).await;
        }
        self.inner.claims.set_busy(false);
        self.inner.queue.stop_leading();
        self.done = true;
    }

    /// Waits a short time for a visitor. Returns whether one has come.
    async fn somebody_comes(&self) -> bool {
        let Inner {
            claims,
            platform,
            queue,
            ..
        } = &*self.inner;
        claims.set_busy(false);
        let (opener, gate) = platform.gate();
        queue.open_on_arrival(opener);
        select(pin!(gate), pin!(platform.pause(LINGER))).await;
        claims.set_busy(true);
        !queue.is_empty()
    }

    /// Claims and syncs `next` while `durable` is published and answered. Returns `next` if it is durable.
    async fn step(
        &self,
        durable: Option<Durable<P>>,
        next: Batch<P>,
        kept: &mut Option<Kept<P>>,
        deadline: &mut Deadline<P>,
    ) -> Option<Durable<P>> {
        // One reading for the whole step, because each is a call to the host.
        let now = self.inner.platform.now();
        let claim = {
            let mut work = pin!(self.work(durable.as_ref(), &next, kept, now));
            let limit = pin!(deadline.after(now, STALL_LIMIT));
            match select(work.as_mut(), limit).await {
                Either::Left((claim, _)) => claim,
                Either::Right(((), _)) => {
                    let overdue = self.inner.stall.overdue();
                    for batch in durable.iter().map(|d| &d.batch).chain([&next]) {
                        batch.fail(stalled());
                    }
                    Batch::new(&self.inner).fail(stalled());
                    // This work may be half done, so it ends before any other begins.
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
        kept: &mut Option<Kept<P>>,
        now: Duration,
    ) -> Option<Claim<P>> {
        let inner = &self.inner;
        let claim = self.claim(next, kept, now).await;
        let sync = async {
            match &claim {
                Some(claim) => inner.volume.make_durable(&claim.found.dir).await,
                None => Ok(()),
            }
        };
        let publish = self.publish(durable, claim.as_ref());
        let ((), synced) = join(publish, sync).await;
        match synced {
            Ok(()) => claim,
            Err(error) => {
                next.fail(error);
                None
            }
        }
    }

    /// Claims for a batch, unless it is empty.
    async fn claim(
        &self,
        batch: &Batch<P>,
        kept: &mut Option<Kept<P>>,
        now: Duration,
    ) -> Option<Claim<P>> {
        if batch.size == 0 {
            return None;
        }
        let inner = &self.inner;
        // After a failed write, `visits.bin` is opened and written again before the next claim.
        let fresh = kept
            .take()
            .filter(|kept| now <= kept.at + REOPEN && inner.publisher.writable());
        let at = fresh.as_ref().map_or(now, |kept| kept.at);
        let opened = fresh.map(|kept| kept.opened);
        match inner.claims.claim(batch.size, opened).await {
            Ok(claim) => {
                self.turn_over.set(inner.claims.is_turn_over(&claim).await);
                let opened = claim.opened();
                *kept = opened.map(|opened| Kept { opened, at });
                Some(claim)
            }
            Err(error) => {
                batch.fail(error);
                None
            }
        }
    }

    /// Publishes and answers a batch. `newest` is the claim that has moved the ticket since. It has confirmed the batch's sync.
    async fn publish(&self, durable: Option<&Durable<P>>, newest: Option<&Claim<P>>) {
        let publisher = &self.inner.publisher;
        let Some(Durable { batch, claim }) = durable else {
            if newest.is_none()
                && let Err(error) = publisher.settle().await
            {
                self.inner
                    .platform
                    .log(&format!("{} not mended: {error}", record::FILE));
            }
            return;
        };
        let published = async {
            if kept(Rule::PublishBeforeAnswer) {
                self.write(newest.unwrap_or(claim)).await?;
            }
            match newest {
                Some(_) => Ok(()),
                None => self.confirm(claim).await,
            }
        };
        self.answer(batch, claim, published.await);
    }

    async fn write(&self, claim: &Claim<P>) -> CountResult<()> {
        let publisher = &self.inner.publisher;
        let published = publisher.publish_claim(&claim.record, &claim.found, claim.publication);
        published.await
    }

    /// Confirms the sync of a claim that was published and that no claim follows.
    async fn confirm(&self, claim: &Claim<P>) -> CountResult<()> {
        let Inner {
            claims, publisher, ..
        } = &*self.inner;
        if let Some(later) = claims.confirm(claim, self.turn_over.get()).await? {
            self.write(&later).await?;
        }
        publisher.settle().await
    }

    fn refuse_beside_failure(&self) -> CountResult<()> {
        match kept(Rule::StopBesideFailedSync) {
            true => self.inner.volume.refuse_if_poisoned(),
            false => Ok(()),
        }
    }

    /// Answers a batch that is claimed and durable.
    fn answer(&self, batch: &Batch<P>, claim: &Claim<P>, published: CountResult<()>) {
        // The disk reports a failure once, perhaps to another sync than this batch's.
        match published.and_then(|()| self.refuse_beside_failure()) {
            Ok(()) => batch.answer(claim.before),
            Err(error) => batch.fail(error),
        }
    }
}

impl<P: Platform> Drop for Leader<P> {
    fn drop(&mut self) {
        if !self.done {
            self.inner.claims.set_busy(false);
            if kept(Rule::Forget) {
                self.inner.claims.forget();
            }
            if kept(Rule::HandOn) {
                self.inner.queue.hand_on();
            }
        }
    }
}

impl<P: Platform> Batch<P> {
    /// Takes everyone who waits.
    fn new(inner: &Rc<Inner<P>>) -> Self {
        Self::of(inner, inner.queue.take())
    }

    fn of(inner: &Rc<Inner<P>>, visitors: Vec<Waiting<P::Opener>>) -> Self {
        Batch {
            inner: inner.clone(),
            size: visitors.len() as u64,
            visitors: RefCell::new(visitors),
        }
    }

    /// Hands out the numbers after `before`. Visitors who already have an error are gone.
    fn answer(&self, before: u64) {
        self.inner.observer.committed(self.size);
        for (index, visitor) in (0..).zip(self.visitors.take()) {
            visitor.leave(Outcome::Counted(before + 1 + index));
        }
    }

    /// Fails everyone who is left with `error`, and logs it once.
    fn fail(&self, error: CountError) {
        let visitors = self.visitors.take();
        let count = visitors.len();
        if count == 0 {
            return;
        }
        self.inner.observer.failed(count as u64);
        let line = format!("visits not counted count={count}: {error}");
        self.inner.platform.log(&line);
        let error = Rc::new(error);
        for visitor in visitors {
            visitor.leave(Outcome::Failed(error.clone()));
        }
    }
}

impl<P: Platform> Drop for Batch<P> {
    fn drop(&mut self) {
        self.fail(CountError::interrupted());
    }
}
