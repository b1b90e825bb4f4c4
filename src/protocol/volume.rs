//! The volume: the ticket on it, and making it durable.
//!
//! Rules 3 and 6 of [`super`]. Everything else that touches the volume stands on this.

use super::directory::{Directory, Entry, FsErrorKind, FsResult};
use super::error::{CountError, CountResult};
use super::observer::Observer;
use super::platform::{Platform, ROOT};
use super::record;
use super::retry::{Limit, jitter};
use super::rule::{Rule, kept};
use super::ticket::{PRIVATE, Ticket};
use anyhow::anyhow;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// How long the listing of the private directory is repeated before it becomes an error.
const LOOK_LIMIT: Duration = Duration::from_secs(2);

/// What one instance knows of the volume, whatever it does there.
pub(super) struct Volume<P: Platform> {
    pub(super) platform: Rc<P>,
    pub(super) observer: Rc<dyn Observer>,
    pub(super) root: RefCell<Option<P::Dir>>,
    /// The failed sync after which this instance acknowledges nothing more.
    pub(super) poison: RefCell<Option<String>>,
    /// Whether this instance has synced the root since the private directory appeared in it.
    pub(super) anchored: Cell<bool>,
}

/// A ticket, and the private directory that holds it.
pub(super) struct Found<D> {
    pub(super) dir: D,
    pub(super) ticket: Ticket,
}

impl<P: Platform> Volume<P> {
    /// Returns the volume of `platform` before the first look at it.
    pub(super) fn new(platform: Rc<P>, observer: Rc<dyn Observer>) -> Self {
        Volume {
            platform,
            observer,
            root: RefCell::new(None),
            poison: RefCell::new(None),
            anchored: Cell::new(false),
        }
    }

    /// Returns the preopened directory.
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

    /// Refuses everything after a failed sync: rule 3 of [`super`].
    pub(super) fn refuse_if_poisoned(&self) -> CountResult<()> {
        match &*self.poison.borrow() {
            None => Ok(()),
            Some(first) => Err(CountError::unavailable(anyhow!(
                "{first}; nothing is acknowledged until the instance is restarted on a sound volume"
            ))),
        }
    }

    /// Opens the private directory; `None` if it is missing.
    pub(super) async fn open_private(&self) -> CountResult<Option<P::Dir>> {
        match self.root()?.open_dir(PRIVATE).await {
            Ok(dir) => Ok(Some(dir)),
            Err(e) if e.kind == FsErrorKind::NotFound => {
                self.anchored.set(false);
                Ok(None)
            }
            Err(e) => Err(CountError::refused(&format!("cannot open {PRIVATE}"), e)),
        }
    }

    /// Finds the ticket; `None` if counting has not started, or if a power cut has left the private directory empty.
    pub(super) async fn look(&self) -> CountResult<Option<Found<P::Dir>>> {
        let mut limit = Limit::new(LOOK_LIMIT);
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
                // Empty twice, a pause apart, is believed. If the directory is not empty after all, the file system
                // refuses the rename that starts counting.
                if entries.is_empty() && last_seen_empty {
                    return Ok(None);
                }
                last_seen_empty = entries.is_empty();
            }
            if limit.has_passed(self.platform.now()) {
                return Err(unreadable(listed));
            }
            jitter(&*self.platform, attempt).await;
        }
        unreachable!("the loop ends by returning")
    }

    /// Finds the ticket in a directory that was opened recently; `None` if one listing does not show it.
    pub(super) async fn look_in(&self, dir: &P::Dir) -> Option<Ticket> {
        let entries = dir.list().await.ok()?;
        let ticket = entries.iter().filter_map(Ticket::of).max()?;
        self.remove_lower(dir, &entries, ticket).await;
        Some(ticket)
    }

    /// Removes tickets below the highest, which a crash can leave on a file system without atomic renames. If two names
    /// are links to one inode, a rename between them does nothing and reports success. If the lower name is only the
    /// ticket's name of a moment ago, it is gone already, and names never come back.
    ///
    /// Also removes what was to be published for a lower number: its claim has failed, or can no longer succeed, or was
    /// published before the claim after it.
    async fn remove_lower(&self, dir: &P::Dir, entries: &[Entry], ticket: Ticket) {
        for entry in entries {
            let lower = Ticket::of(entry).is_some_and(|it| it.number < ticket.number);
            if (lower || ticket.is_past(&entry.name)) && kept(Rule::RemoveLower) {
                // It stays on a read-only volume, where counting fails anyway.
                let _ = dir.remove_file(&entry.name).await;
            }
        }
    }

    /// Syncs the root once per instance, before anything is published. The starter that made the private directory syncs
    /// it, too, but another instance may see the directory before that sync ends. If the power were cut then, the
    /// directory would be lost, with every visit acknowledged in the meantime. If `visits.bin` had been written to, the
    /// count that was taken over would be lost as well.
    pub(super) async fn anchor(&self) -> CountResult<()> {
        if !self.anchored.get() && kept(Rule::SyncRoot) {
            self.trust(self.root()?.sync().await, "")?;
            self.anchored.set(true);
        }
        Ok(())
    }

    /// Syncs the root after the private directory has appeared. An earlier sync covered another directory of that name.
    pub(super) async fn anchor_anew(&self) -> CountResult<()> {
        if kept(Rule::SyncRootAnew) {
            self.anchored.set(false);
        }
        self.anchor().await
    }

    /// Makes a claim in `dir` survive a power cut.
    pub(super) async fn make_durable(&self, dir: &P::Dir) -> CountResult<()> {
        let start = self.platform.now();
        let synced = match kept(Rule::SyncClaim) {
            true => dir.sync().await,
            false => Ok(()),
        };
        self.observer.synced(self.platform.now() - start);
        self.trust(synced, PRIVATE)
    }

    /// Passes on the result of a sync of `name`. After a failure this instance acknowledges nothing more.
    pub(super) fn trust(&self, synced: FsResult<()>, name: &str) -> CountResult<()> {
        synced.map_err(|e| {
            let line = format!("cannot sync {ROOT}/{name}: {e}");
            if kept(Rule::StopAfterFailedSync) {
                *self.poison.borrow_mut() = Some(line.clone());
            }
            CountError::unavailable(anyhow!(line))
        })
    }
}

fn unreadable(listed: FsResult<Vec<Entry>>) -> CountError {
    match listed {
        Err(e) => CountError::refused(&format!("cannot list {PRIVATE}"), e),
        Ok(entries) => {
            let names: Vec<_> = entries.iter().map(|entry| &entry.name).collect();
            CountError::not_a_count(anyhow!(
                "{ROOT}/{PRIVATE} holds no ticket, but {names:?}: restore it, or remove it to start from {}",
                record::FILE
            ))
        }
    }
}
