//! The claim: the next numbers, taken by renaming the ticket.
//!
//! Rules 1, 2, 7 and 9 of [`super`].

use super::directory::{Directory, FsErrorKind, OpenFile};
use super::error::{CountError, CountResult};
use super::observer::Observer;
use super::platform::{File, Platform, ROOT};
use super::publication::Publication;
use super::publish::Publisher;
use super::record;
use super::retry::{Limit, jitter};
use super::rule::{Rule, kept};
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
    pub(super) observer: Rc<dyn Observer>,
    /// The ticket that this instance claimed last, if it is published, or will be before the next claim of another instance.
    /// If it is still there, nobody else has claimed since. And how the next claim from it is published.
    pub(super) known: Cell<Option<(Ticket, Publication)>>,
    /// The id of the claims that this instance makes while it is alone.
    pub(super) id: Cell<Option<u64>>,
    /// Whether a leader is counting, and so will publish.
    pub(super) busy: Cell<bool>,
    /// How many claims this instance has made since it last looked whether another waits.
    pub(super) in_a_row: Cell<u32>,
}

/// A claim of the numbers above `before`, up to the new ticket's. The record is open to publish them.
pub(super) struct Claim<P: Platform> {
    pub(super) before: u64,
    pub(super) found: Found<P::Dir>,
    pub(super) record: Rc<File<P>>,
    pub(super) publication: Publication,
}

/// What one claim has opened and the next one may use.
pub(super) struct Opened<P: Platform> {
    dir: P::Dir,
    record: Rc<File<P>>,
}

/// What became of an attempt to claim.
pub(super) enum Attempt<P: Platform> {
    Claimed(Claim<P>),
    /// The ticket has moved. A rename may have been done although it reports otherwise, as on NFS when it is sent twice. So
    /// this is the ticket that it would have made, with its publication.
    Lost(P::Dir, Ticket, Publication),
}

impl<P: Platform> Claim<P> {
    /// Returns the private directory and the record, for the next claim; `None` if that record was replaced.
    pub(super) fn opened(&self) -> Option<Opened<P>> {
        (self.publication != Publication::Done).then(|| Opened {
            dir: self.found.dir.clone(),
            record: self.record.clone(),
        })
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
            id: Cell::new(None),
            busy: Cell::new(false),
            in_a_row: Cell::new(0),
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
        let mut lost = match self.attempt_alone(visits, opened).await? {
            Some(Attempt::Claimed(claim)) => return Ok(claim),
            Some(Attempt::Lost(dir, ticket, publication)) => {
                // Most often another instance has claimed, and the directory was opened a moment ago.
                Some((Some(dir), ticket, publication))
            }
            None => None,
        };
        let (mut limit, mut record, mut asked) = (Limit::new(CLAIM_LIMIT), None, false);
        for attempt in 0.. {
            let (dir, tried) = match lost.take() {
                Some((dir, ticket, publication)) => (dir, Some((ticket, publication))),
                None => (None, None),
            };
            let found = self.find(dir).await?;
            let record = match &record {
                Some(record) => record,
                None => record.insert(self.publisher.open().await?),
            };
            if let Some((ticket, publication)) = tried
                && ticket == found.ticket
                && kept(Rule::Recognise)
            {
                return self.claimed(found, visits, record, publication).await;
            }
            if let Some((ticket, Publication::Done)) = tried {
                self.publisher.discard_next(&found.dir, ticket).await;
            }
            match self.attempt(found, visits, record).await? {
                Attempt::Claimed(claim) => {
                    if asked {
                        self.stop_asking(&claim).await;
                    }
                    return Ok(claim);
                }
                Attempt::Lost(dir, ticket, publication) => {
                    if attempt > 0 {
                        self.ask_for_turn(&dir).await;
                        asked = true;
                    }
                    lost = Some((None, ticket, publication));
                }
            }
            if limit.has_passed(platform.now()) {
                break;
            }
            jitter(platform, attempt.min(MAX_BACKOFF)).await;
        }
        Err(CountError::unavailable(anyhow!(
            "{ROOT}/{PRIVATE} is claimed by others faster than this instance can, for {CLAIM_LIMIT:?}"
        )))
    }

    /// Claims from the ticket that this instance claimed last, which needs no fence. Returns `None` if there is no such ticket.
    async fn attempt_alone(
        &self,
        visits: u64,
        opened: Option<Opened<P>>,
    ) -> CountResult<Option<Attempt<P>>> {
        let known = self.known.take();
        let Some((known, publication)) = known.filter(|_| self.publisher.writable()) else {
            return Ok(None);
        };
        let opened = match opened {
            Some(opened) => Some(opened),
            None => self.open_both().await?,
        };
        let Some(Opened { dir, record }) = opened else {
            return Ok(None);
        };
        let id = self
            .id
            .get()
            .unwrap_or_else(|| self.volume.platform.random());
        self.id.set(Some(id));
        let ticket = known.after(visits, id)?;
        let found = Found { dir, ticket };
        if !self.rename(&found.dir, known, ticket).await? {
            return Ok(Some(Attempt::Lost(found.dir, ticket, publication)));
        }
        let claim = self.claimed(found, visits, &record, publication);
        Ok(Some(Attempt::Claimed(claim.await?)))
    }

    /// Claims from a ticket that another has claimed.
    pub(super) async fn attempt(
        &self,
        found: Found<P::Dir>,
        visits: u64,
        record: &Rc<File<P>>,
    ) -> CountResult<Attempt<P>> {
        let id = self.volume.platform.random();
        let ticket = found.ticket.after(visits, id)?;
        if kept(Rule::Help) {
            self.publisher.help(record, &found).await?;
        }
        let fenced = kept(Rule::Fence) || visits == 0;
        let publication = match fenced && self.publisher.prepare_next(&found.dir, ticket).await? {
            true => Publication::Done,
            false => {
                if kept(Rule::WriteBeforeClaim) {
                    self.publisher.prepare(record, &found).await?;
                }
                Publication::WriteAndLook
            }
        };
        let renamed = self.rename(&found.dir, found.ticket, ticket).await;
        if renamed.is_err() && publication == Publication::Done {
            self.publisher.discard_next(&found.dir, ticket).await;
        }
        if !renamed? {
            return Ok(Attempt::Lost(found.dir, ticket, publication));
        }
        let dir = found.dir;
        let claim = self.claimed(Found { dir, ticket }, visits, record, publication);
        Ok(Attempt::Claimed(claim.await?))
    }

    /// Renames the ticket. Returns `false` if it has moved.
    pub(super) async fn rename(&self, dir: &P::Dir, from: Ticket, to: Ticket) -> CountResult<bool> {
        // Otherwise the system would report success and do nothing.
        debug_assert_ne!(from, to);
        let from = from.name();
        match dir.rename(&from, &to.name()).await {
            Ok(()) => Ok(true),
            Err(e) if e.kind == FsErrorKind::NotFound => {
                self.observer.lost_claim();
                Ok(false)
            }
            Err(e) => {
                let what = format!("cannot rename {PRIVATE}/{from}");
                Err(CountError::refused(&what, e))
            }
        }
    }

    /// Returns a claim that was made, and publishes it if that needs a fence.
    async fn claimed(
        &self,
        found: Found<P::Dir>,
        visits: u64,
        record: &Rc<File<P>>,
        mut publication: Publication,
    ) -> CountResult<Claim<P>> {
        if publication == Publication::Done && !self.publisher.replace(&found).await? {
            publication = Publication::WriteAndLook;
        }
        if visits > 0 {
            let next = match publication {
                Publication::Done | Publication::Write => Publication::Write,
                // Another instance's write may still be under way.
                Publication::WriteAndLook => publication,
            };
            self.known.set(Some((found.ticket, next)));
        }
        Ok(Claim {
            before: found.ticket.number - visits,
            found,
            record: record.clone(),
            publication,
        })
    }

    /// Makes the next claim begin with a look, because a write may be under way whose end nobody waits for.
    pub(super) fn forget(&self) {
        self.known.set(None);
    }

    /// Records whether a leader is counting.
    pub(super) fn set_busy(&self, busy: bool) {
        self.busy.set(busy);
    }

    /// Returns whether a leader is counting.
    pub(super) fn is_busy(&self) -> bool {
        self.busy.get()
    }

    /// Opens the private directory and `visits.bin` side by side, because a visitor alone waits for both. Returns `None` if
    /// there may be something to start or to take over first, or if something else has written the file.
    async fn open_both(&self) -> CountResult<Option<Opened<P>>> {
        let (dir, record) = join(self.volume.open_private(), self.publisher.open()).await;
        let (dir, record) = (dir?, record?);
        let ours = record.size_when_opened() == record::LENGTH;
        Ok(dir.filter(|_| ours).map(|dir| Opened { dir, record }))
    }

    /// Looks for the ticket, and starts counting if there is none. `dir` is a recent handle to the private directory. An old
    /// one would go on counting in a directory that an operator has moved away.
    async fn find(&self, dir: Option<P::Dir>) -> CountResult<Found<P::Dir>> {
        if let Some(dir) = dir
            && let Some(ticket) = self.volume.look_in(&dir).await
        {
            return Ok(Found { dir, ticket });
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
