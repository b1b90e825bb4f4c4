//! The volume: looking at the ticket, claiming by rename, making it durable.
//!
//! Rules 1 to 3 and 6 of [`super`]; [`super::start`] and [`super::publish`] hold the rest.

use super::directory::{Directory, Entry, FsError, FsErrorKind, FsResult};
use super::error::{CountError, CountResult};
use super::platform::{Platform, jitter};
use super::record;
use super::ticket::Ticket;
use crate::metrics::Metrics;
use anyhow::anyhow;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

/// Where the host preopens the volume; only ever used in messages.
pub const ROOT: &str = "/app/persistent";

/// The private directory, whose one entry is the ticket. Private, because a listing of a crowded directory can
/// miss an entry that is being renamed, and because a rename in a directory of one entry needs no space.
pub const PRIVATE: &str = ".visits";

/// How long a look at the ticket may be repeated before the visitor is told.
const LOOK_LIMIT: Duration = Duration::from_secs(2);

/// How long a claim may lose to others before the visitors it is for are told.
const CLAIM_LIMIT: Duration = Duration::from_secs(5);

/// How often a start is tried on a private directory that is there, and empty, and cannot be replaced.
const STARTS: u32 = 8;

/// What one instance knows about the volume, and does to it.
pub struct Volume<P: Platform> {
    pub(super) platform: Rc<P>,
    pub(super) metrics: Rc<Metrics>,
    root: RefCell<Option<P::Dir>>,
    /// The ticket that this instance saw last. A guess: the rename is what decides.
    known: Cell<Option<Ticket>>,
    /// Why this instance acknowledges nothing more.
    poison: RefCell<Option<String>>,
    /// Whether the last claim lost to another instance before it won.
    pub(super) contended: Cell<bool>,
    /// Whether this instance has seen to it that the private directory itself survives a power cut.
    pub(super) anchored: Cell<bool>,
    /// Since when the volume has been counted on, once it is known.
    pub(super) since: Cell<Option<SystemTime>>,
    /// Whether this instance has cleared what crashed starters left.
    pub(super) cleared: Cell<bool>,
    /// Whether this instance last published successfully. If not, or if it has not published yet, it publishes the
    /// ticket as it is before the next claim: an obstacle that opening the file does not show must not count visits.
    pub(super) writable: Cell<bool>,
}

/// A ticket, and the private directory it was seen or put in.
pub(super) struct Found<D> {
    pub(super) dir: D,
    pub(super) ticket: Ticket,
}

/// A claim of the numbers above `before`, up to the new ticket's, and `visits.bin`, open to publish them.
pub(super) struct Claim<D: Directory> {
    pub(super) before: u64,
    pub(super) found: Found<D>,
    pub(super) record: Rc<D::File>,
}

/// What one claim has opened and the next may use: the private directory and `visits.bin`.
pub(super) struct Opened<D: Directory> {
    pub(super) dir: D,
    pub(super) record: Rc<D::File>,
}

impl<P: Platform> Volume<P> {
    /// The volume that `platform` preopened, not yet looked at.
    pub fn new(platform: Rc<P>, metrics: Rc<Metrics>) -> Self {
        Volume {
            platform,
            metrics,
            root: RefCell::new(None),
            known: Cell::new(None),
            poison: RefCell::new(None),
            contended: Cell::new(false),
            anchored: Cell::new(false),
            since: Cell::new(None),
            cleared: Cell::new(false),
            writable: Cell::new(false),
        }
    }

    /// The preopened directory.
    pub(super) fn root(&self) -> CountResult<P::Dir> {
        if let Some(root) = &*self.root.borrow() {
            return Ok(root.clone());
        }
        let root = self
            .platform
            .root()
            .map_err(|line| CountError::unavailable(anyhow!(line)))?;
        *self.root.borrow_mut() = Some(root.clone());
        Ok(root)
    }

    /// Rule 3 of [`super`]: after a failed sync, nothing more is acknowledged.
    pub(super) fn refuse_if_poisoned(&self) -> CountResult<()> {
        match &*self.poison.borrow() {
            None => Ok(()),
            Some(first) => Err(CountError::unavailable(anyhow!(
                "{first}; nothing is acknowledged until the instance is restarted on a sound volume"
            ))),
        }
    }

    /// Claims the next `visits` numbers, at least 1, for this instance; they are not durable yet. `opened` is what
    /// an earlier claim opened a moment ago, if one did.
    ///
    /// Rule 7 of [`super`]: `visits.bin` is open for writing before the rename. A number is given away once only,
    /// whatever happens to it afterwards.
    pub(super) async fn claim(
        &self,
        visits: u64,
        opened: Option<Opened<P::Dir>>,
    ) -> CountResult<Claim<P::Dir>> {
        self.refuse_if_poisoned()?;
        let deadline = self.platform.now() + CLAIM_LIMIT;
        let (mut dir, mut record) = opened.map(|it| (it.dir, it.record)).unzip();
        for attempt in 0.. {
            let found = self.found_or_started(dir.take()).await?;
            let before = found.ticket.0;
            let ticket = next(found.ticket, visits)?;
            let record = match &record {
                Some(record) => record,
                None => record.insert(self.open_record(&found).await?),
            };
            let (from, to) = (found.ticket.name(), ticket.name());
            match found.dir.rename(&from, &found.dir, &to).await {
                Ok(()) => {
                    self.known.set(Some(ticket));
                    self.contended.set(attempt > 0);
                    return Ok(Claim {
                        before,
                        found: Found { ticket, ..found },
                        record: record.clone(),
                    });
                }
                Err(e) if e.kind == FsErrorKind::NotFound => self.metrics.lost_a_claim(),
                Err(e) => return Err(refused(&format!("cannot rename {PRIVATE}/{from}"), e)),
            }
            if self.platform.now() > deadline {
                break;
            }
            jitter(&*self.platform, attempt).await;
        }
        Err(CountError::unavailable(anyhow!(
            "{ROOT}/{PRIVATE} is claimed by others faster than this instance can, for {CLAIM_LIMIT:?}"
        )))
    }

    /// The ticket this instance left last, if it did, else the one it sees, else the first, put there now.
    ///
    /// The private directory is opened anew unless `dir` is it, opened a moment ago: a handle kept for long would go
    /// on counting in a directory that an operator has moved away.
    async fn found_or_started(&self, dir: Option<P::Dir>) -> CountResult<Found<P::Dir>> {
        if let Some(ticket) = self.known.take() {
            let dir = match dir {
                Some(dir) => Some(dir),
                None => self.open_private().await?,
            };
            if let Some(dir) = dir {
                return Ok(Found { dir, ticket });
            }
        }
        for _ in 0..STARTS {
            match self.look().await? {
                Some(found) => return Ok(found),
                None => self.start().await?,
            }
        }
        Err(CountError::unavailable(anyhow!(
            "{ROOT}/{PRIVATE} is empty and this file system does not replace it: remove it"
        )))
    }

    /// Opens the private directory; `None` if it is not there.
    async fn open_private(&self) -> CountResult<Option<P::Dir>> {
        match self.root()?.open_dir(PRIVATE).await {
            Ok(dir) => Ok(Some(dir)),
            Err(e) if e.kind == FsErrorKind::NotFound => {
                self.anchored.set(false);
                Ok(None)
            }
            Err(e) => Err(refused(&format!("cannot open {PRIVATE}"), e)),
        }
    }

    /// The ticket on the volume; `None` where counting has not started, or a power cut has left the private
    /// directory empty.
    pub(super) async fn look(&self) -> CountResult<Option<Found<P::Dir>>> {
        let deadline = self.platform.now() + LOOK_LIMIT;
        let mut last_seen_empty = false;
        for attempt in 0.. {
            let Some(dir) = self.open_private().await? else {
                return Ok(None);
            };
            let listed = dir.list().await;
            if let Ok(entries) = &listed {
                if let Some(ticket) = entries.iter().filter_map(Ticket::of).max() {
                    self.remove_lower(&dir, entries, ticket).await;
                    return Ok(Some(Found { dir, ticket }));
                }
                // Empty twice, a pause apart, is believed: the start that follows is a rename which the file
                // system itself refuses if the directory is not empty after all.
                if entries.is_empty() && last_seen_empty {
                    return Ok(None);
                }
                last_seen_empty = entries.is_empty();
            }
            if self.platform.now() > deadline {
                return Err(unreadable(listed));
            }
            jitter(&*self.platform, attempt).await;
        }
        unreachable!("the loop ends by returning")
    }

    /// Removes what a crash of a file system without atomic renames has left beside the ticket: two links to one
    /// inode would make the next rename between them do nothing and report success. Where the lower name was only
    /// the ticket's own name of a moment ago, it is gone, and names never come back.
    async fn remove_lower(&self, dir: &P::Dir, entries: &[Entry], ticket: Ticket) {
        for lower in entries.iter().filter_map(Ticket::of) {
            if lower < ticket {
                // On a read-only volume it stays, and counting fails for that reason.
                let _ = dir.remove_file(&lower.name()).await;
            }
        }
    }

    /// Syncs the root, once an instance, before anything is published. The starter that made the private directory
    /// does so too, but another instance may see the directory before that sync is done. Were the power cut then,
    /// the directory would be gone, and with it every visit acknowledged meanwhile, and the count taken over, too,
    /// if `visits.bin` had been written to.
    pub(super) async fn anchor(&self) -> CountResult<()> {
        if !self.anchored.get() {
            self.trust(self.root()?.sync().await, "")?;
            self.anchored.set(true);
        }
        Ok(())
    }

    /// Makes a claim in `dir` survive a power cut.
    pub(super) async fn make_durable(&self, dir: &P::Dir) -> CountResult<()> {
        let start = self.platform.now();
        let synced = dir.sync().await;
        self.metrics.synced(self.platform.now() - start);
        self.trust(synced, PRIVATE)
    }

    /// Passes on the result of a sync of `name`; a failure is remembered for good.
    pub(super) fn trust(&self, synced: FsResult<()>, name: &str) -> CountResult<()> {
        synced.map_err(|e| {
            let line = format!("cannot sync {ROOT}/{name}: {e}");
            *self.poison.borrow_mut() = Some(line.clone());
            CountError::unavailable(anyhow!(line))
        })
    }
}

/// Returns the ticket `visits` visits after `ticket`.
pub(super) fn next(ticket: Ticket, visits: u64) -> CountResult<Ticket> {
    let number = ticket.0.checked_add(visits).ok_or_else(|| {
        CountError::not_a_count(anyhow!(
            "{ROOT}/{PRIVATE} is at {}: {visits} more do not fit in 64 bits",
            ticket.0
        ))
    })?;
    Ok(Ticket(number))
}

fn unreadable(listed: FsResult<Vec<Entry>>) -> CountError {
    match listed {
        Err(e) => refused(&format!("cannot list {PRIVATE}"), e),
        Ok(entries) => {
            let names: Vec<_> = entries.iter().map(|entry| &entry.name).collect();
            CountError::not_a_count(anyhow!(
                "{ROOT}/{PRIVATE} holds no ticket, but {names:?}: restore it, or remove it to start from {}",
                record::FILE
            ))
        }
    }
}

/// A refused call on the volume: what was done to which path, the system's words, and what may help.
pub(super) fn refused(what: &str, cause: FsError) -> CountError {
    let hint = match cause.kind {
        FsErrorKind::ReadOnly => " (is the volume mounted read-only?)",
        FsErrorKind::NotPermitted => {
            " (is it immutable or append-only, which `lsattr` shows, or the volume given read-only? `spin up` needs \
             --allow-transient-write)"
        }
        FsErrorKind::Io => {
            " (is the volume mounted read-only, its disk unwell, or the host out of file descriptors?)"
        }
        FsErrorKind::Denied => " (does the volume belong to the user that the host runs as?)",
        FsErrorKind::NoSpace => " (the volume is full: remove something, or enlarge it)",
        _ => "",
    };
    CountError::unavailable(anyhow!("{what} in {ROOT}: {cause}{hint}"))
}
