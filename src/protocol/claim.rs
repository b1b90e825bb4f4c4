//! The claim: the next numbers, taken by renaming the ticket.
//!
//! Rules 1, 2 and 7 of [`super`].

use super::directory::{Directory, FsErrorKind};
use super::error::{CountError, CountResult};
use super::observer::Observer;
use super::platform::{File, Platform, ROOT, jitter};
use super::publish::Publisher;
use super::start::Starter;
use super::ticket::{PRIVATE, Ticket};
use super::volume::{Found, Volume};
use anyhow::anyhow;
use futures::future::join;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// How long a claim may lose to others before its visitors get an error.
const CLAIM_LIMIT: Duration = Duration::from_secs(5);

/// Up to which attempt the pauses after lost claims grow: to 2 ms, about the time that an instance takes for a batch. After
/// each loss another instance has won, so a longer pause would only let others win more often.
const MAX_BACKOFF: u32 = 1;

/// How often a start is tried on a private directory that is empty and cannot be replaced.
const MAX_STARTS: u32 = 8;

/// One instance's claims.
pub(super) struct Claims<P: Platform> {
    pub(super) volume: Rc<Volume<P>>,
    pub(super) publisher: Rc<Publisher<P>>,
    pub(super) starter: Starter<P>,
    observer: Rc<dyn Observer>,
    /// The ticket that this instance left last. It is a guess, and the rename decides.
    known: Cell<Option<Ticket>>,
}

/// A claim of the numbers above `before`, up to the new ticket's. The record is open to publish them.
pub(super) struct Claim<P: Platform> {
    pub(super) before: u64,
    pub(super) found: Found<P::Dir>,
    pub(super) record: Rc<File<P>>,
}

/// What one claim has opened and the next one may use.
pub(super) struct Opened<P: Platform> {
    dir: P::Dir,
    record: Rc<File<P>>,
}

impl<P: Platform> Claim<P> {
    /// Returns the private directory and the record, for the next claim.
    pub(super) fn opened(&self) -> Opened<P> {
        Opened {
            dir: self.found.dir.clone(),
            record: self.record.clone(),
        }
    }
}

impl<P: Platform> Claims<P> {
    /// Returns the claims of an instance that has made none yet.
    pub(super) fn new(
        volume: Rc<Volume<P>>,
        publisher: Rc<Publisher<P>>,
        observer: Rc<dyn Observer>,
    ) -> Self {
        Claims {
            starter: Starter::new(volume.clone()),
            volume,
            publisher,
            observer,
            known: Cell::new(None),
        }
    }

    /// Claims the next `visits` numbers, at least 1. They are not durable yet. No number is given away twice, whatever
    /// happens to this claim afterwards. `opened` is what a recent claim opened.
    pub(super) async fn claim(
        &self,
        visits: u64,
        opened: Option<Opened<P>>,
    ) -> CountResult<Claim<P>> {
        self.volume.refuse_if_poisoned()?;
        let platform = &*self.volume.platform;
        let (mut deadline, mut lost) = (None, None);
        let opened = match opened {
            Some(opened) => Some(opened),
            None => self.open_both().await?,
        };
        let (mut dir, mut record) = opened.map(|it| (it.dir, it.record)).unzip();
        for attempt in 0.. {
            let found = match lost.take() {
                Some(dir) => self.found_again(dir).await?,
                None => self.found_or_started(dir.take()).await?,
            };
            let before = found.ticket.0;
            let ticket = found.ticket.after(visits)?;
            let record = match &record {
                Some(record) => record,
                None => record.insert(self.publisher.open_record(&found).await?),
            };
            let (from, to) = (found.ticket.name(), ticket.name());
            match found.dir.rename(&from, &to).await {
                Ok(()) => {
                    self.known.set(Some(ticket));
                    return Ok(Claim {
                        before,
                        found: Found { ticket, ..found },
                        record: record.clone(),
                    });
                }
                Err(e) if e.kind == FsErrorKind::NotFound => {
                    self.observer.lost_claim();
                    // Most often the guess was old, and the directory was opened a moment ago.
                    lost = (attempt == 0).then_some(found.dir);
                }
                Err(e) => {
                    let what = format!("cannot rename {PRIVATE}/{from}");
                    return Err(CountError::refused(&what, e));
                }
            }
            let now = platform.now();
            if now > *deadline.get_or_insert(now + CLAIM_LIMIT) {
                break;
            }
            if attempt > 0 {
                jitter(platform, (attempt - 1).min(MAX_BACKOFF)).await;
            }
        }
        Err(CountError::unavailable(anyhow!(
            "{ROOT}/{PRIVATE} is claimed by others faster than this instance can, for {CLAIM_LIMIT:?}"
        )))
    }

    /// Opens the private directory and `visits.bin` side by side, because a visitor alone waits for both. Returns `None` if
    /// there may be something to start or to take over first.
    async fn open_both(&self) -> CountResult<Option<Opened<P>>> {
        let Some(ticket) = self.known.get() else {
            return Ok(None);
        };
        let (dir, record) = join(self.volume.open_private(), self.publisher.open()).await;
        let (dir, record) = (dir?, record?);
        let Some(dir) = dir else { return Ok(None) };
        let found = Found { dir, ticket };
        self.publisher.prepare(&record, &found).await?;
        let dir = found.dir;
        Ok(Some(Opened { dir, record }))
    }

    /// Looks for the ticket after a lost claim. The directory was opened before it.
    async fn found_again(&self, dir: P::Dir) -> CountResult<Found<P::Dir>> {
        match self.volume.look_in(&dir).await {
            Some(ticket) => Ok(Found { dir, ticket }),
            None => self.found_or_started(None).await,
        }
    }

    /// Returns the ticket that this instance left last. Without one it looks for the ticket, and starts counting if there
    /// is none.
    ///
    /// The private directory is opened anew unless `dir` is a recent handle to it. An old handle would go on counting in
    /// a directory that an operator has moved away.
    async fn found_or_started(&self, dir: Option<P::Dir>) -> CountResult<Found<P::Dir>> {
        if let Some(ticket) = self.known.take() {
            let dir = match dir {
                Some(dir) => Some(dir),
                None => self.volume.open_private().await?,
            };
            if let Some(dir) = dir {
                return Ok(Found { dir, ticket });
            }
        }
        for _ in 0..MAX_STARTS {
            match self.volume.look().await? {
                Some(found) => return Ok(found),
                None => self.starter.start().await?,
            }
        }
        Err(CountError::unavailable(anyhow!(
            "{ROOT}/{PRIVATE} is empty and this file system does not replace it: remove it"
        )))
    }
}
