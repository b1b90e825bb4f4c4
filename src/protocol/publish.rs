//! `visits.bin`: open before a claim, and written before any visitor gets a number.
//!
//! Rules 4 and 7 of [`super`]. Publishers of several instances race, and may die. A write may land late, after another
//! instance has moved the ticket and published it. [`super::fence`] prevents that.
//!
//! Without a fence no write is an instance's last without a look:
//! - Under load a higher number follows it, that of the instance's next claim.
//! - If no claim follows, the instance reads the ticket again, and repeats both until they agree ([`Publisher::settle`]).

use super::directory::{Directory, FsError, FsErrorKind, OpenFile};
use super::error::{CountError, CountResult};
use super::platform::{File, Platform, ROOT};
use super::publication::Publication;
use super::record;
use super::retry::Limit;
use super::ticket::{PRIVATE, Ticket};
use super::volume::{Found, Volume};
use anyhow::anyhow;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

/// How often, and for how long, a publisher writes again because others have moved the ticket. It gives up when both
/// bounds are passed.
const MAX_WRITES: u32 = 16;
const PUBLISH_LIMIT: Duration = Duration::from_secs(5);

/// One instance's access to `visits.bin`.
pub(super) struct Publisher<P: Platform> {
    pub(super) volume: Rc<Volume<P>>,
    /// Whether this instance last published successfully. If not, or before the first time, it writes before the next claim,
    /// because opening the file does not show every obstacle.
    pub(super) writable: Cell<bool>,
    /// What the leader wrote last, until it is known to be the present ticket.
    pub(super) unsettled: RefCell<Option<Written<P>>>,
    /// When counting on this volume began, once that is known.
    pub(super) since: Cell<Option<SystemTime>>,
}

/// A ticket that is written to a file, and the directory in which it was found.
pub(super) struct Written<P: Platform> {
    file: Rc<File<P>>,
    dir: P::Dir,
    ticket: Ticket,
}

impl<P: Platform> Clone for Written<P> {
    fn clone(&self) -> Self {
        Written {
            file: self.file.clone(),
            dir: self.dir.clone(),
            ticket: self.ticket,
        }
    }
}

impl<P: Platform> Written<P> {
    fn new(file: &Rc<File<P>>, found: &Found<P::Dir>) -> Self {
        Written {
            file: file.clone(),
            dir: found.dir.clone(),
            ticket: found.ticket,
        }
    }

    async fn write(&self) -> CountResult<()> {
        let written = self.file.write(&record::encode(self.ticket.number)).await;
        written.map_err(cannot_write)
    }
}

impl<P: Platform> Publisher<P> {
    /// Returns the publisher of an instance that has not published yet.
    pub(super) fn new(volume: Rc<Volume<P>>) -> Self {
        Publisher {
            volume,
            writable: Cell::new(false),
            unsettled: RefCell::new(None),
            since: Cell::new(None),
        }
    }

    /// Returns whether this instance last published successfully.
    pub(super) fn writable(&self) -> bool {
        self.writable.get()
    }

    /// Opens `visits.bin` for writing, and creates it if it is missing, for a claim that may follow.
    ///
    /// Opening shows a lasting obstacle: an owner, a mode, an immutable file, a read-only mount, something else in its
    /// place. It does not show whether there is space.
    pub(super) async fn open(&self) -> CountResult<Rc<File<P>>> {
        self.volume.anchor().await?;
        let opened = self.volume.root()?.open_file(record::FILE, true).await;
        opened.map(Rc::new).map_err(cannot_write)
    }

    /// Writes the ticket before a claim that will have no fence, if the file is not 8 bytes long, if this instance has not
    /// written it yet, and if the last write failed.
    pub(super) async fn prepare(
        &self,
        file: &Rc<File<P>>,
        found: &Found<P::Dir>,
    ) -> CountResult<()> {
        if self.writable() && file.size_when_opened() == record::LENGTH {
            return Ok(());
        }
        self.publish(file, found).await?;
        // The file is longer only if something else has written it.
        let cut = file.truncate(record::LENGTH).await;
        self.tried(cut.map_err(cannot_write))
    }

    /// Writes the present ticket, which is the found one or a higher one, until it is the one that is read afterwards.
    pub(super) async fn publish(
        &self,
        file: &Rc<File<P>>,
        found: &Found<P::Dir>,
    ) -> CountResult<()> {
        let published = async {
            // Until the private directory is sure to survive, the file may be the only count that a power cut leaves.
            self.volume.anchor().await?;
            let mut present = Written::new(file, found);
            if !self.is_there(&found.dir, found.ticket).await? {
                present.ticket = self.present(&found.dir, found.ticket).await?;
            }
            present.write().await?;
            self.write_until_read(present).await
        };
        self.tried(published.await)
    }

    /// Publishes a claim, or a later one of this instance. If it has no fence, another such call or [`Publisher::settle`] must
    /// follow.
    pub(super) async fn publish_claim(
        &self,
        file: &Rc<File<P>>,
        claimed: &Found<P::Dir>,
        publication: Publication,
    ) -> CountResult<()> {
        let written = Written::<P>::new(file, claimed);
        match publication {
            Publication::Done => Ok(()),
            Publication::Write => self.tried(written.write().await),
            Publication::WriteAndLook => self.write_claimed(written).await,
        }
    }

    async fn write_claimed(&self, claimed: Written<P>) -> CountResult<()> {
        // Recorded first, because the write may take effect even if the leader is dropped.
        *self.unsettled.borrow_mut() = Some(claimed.clone());
        let written = claimed.write().await;
        if written.is_err() {
            // The next claim begins with writing again.
            self.unsettled.take();
        }
        self.tried(written)
    }

    /// Records that no other instance has claimed since the leader has written.
    pub(super) fn settled(&self) {
        self.unsettled.take();
    }

    /// Returns whether the leader must call [`Publisher::settle`] before it ends.
    pub(super) fn is_unsettled(&self) -> bool {
        self.unsettled.borrow().is_some()
    }

    /// Makes sure that what the leader wrote last is the present ticket.
    pub(super) async fn settle(&self) -> CountResult<()> {
        // It stays recorded until then, because the leader may be dropped.
        let Some(written) = self.unsettled.borrow().clone() else {
            return Ok(());
        };
        let settled = self.write_until_read(written).await;
        self.unsettled.take();
        self.tried(settled)
    }

    /// Passes on the result of publishing, and remembers whether it succeeded.
    fn tried(&self, published: CountResult<()>) -> CountResult<()> {
        self.set_writable(published.is_ok());
        published
    }

    /// Remembers whether publishing succeeded.
    pub(super) fn set_writable(&self, writable: bool) {
        self.writable.set(writable);
    }

    /// Reads the ticket, and repeats writing and reading it until both agree.
    async fn write_until_read(&self, mut written: Written<P>) -> CountResult<()> {
        let platform = &self.volume.platform;
        let mut limit = Limit::new(PUBLISH_LIMIT);
        for attempt in 1.. {
            if self.is_there(&written.dir, written.ticket).await? {
                return Ok(());
            }
            // Both are needed, so that one slow write does not end it.
            let passed = limit.has_passed(platform.now());
            if passed && attempt > MAX_WRITES {
                break;
            }
            written.ticket = self.present(&written.dir, written.ticket).await?;
            written.write().await?;
        }
        Err(CountError::unavailable(anyhow!(
            "{ROOT}/{PRIVATE} is claimed by others faster than {} can be written, for {PUBLISH_LIMIT:?}",
            record::FILE
        )))
    }

    /// Returns whether this is the present ticket, without a listing.
    async fn is_there(&self, dir: &P::Dir, ticket: Ticket) -> CountResult<bool> {
        match dir.modified(&ticket.name()).await {
            Ok(_) => Ok(true),
            Err(e) if e.kind == FsErrorKind::NotFound => Ok(false),
            Err(e) => {
                let what = format!("cannot read the ticket in {PRIVATE}");
                Err(CountError::refused(&what, e))
            }
        }
    }

    /// Returns the present ticket, which is no longer `last`.
    async fn present(&self, dir: &P::Dir, last: Ticket) -> CountResult<Ticket> {
        if let Some(ticket) = self.volume.look_in(dir).await {
            return Ok(ticket);
        }
        // If the whole directory is gone, the last claim stands.
        let found = self.volume.look().await?;
        Ok(found.map_or(last, |found| found.ticket))
    }

    /// Returns when counting on this volume began: when the ticket's file was last written to. The first start creates
    /// that file, and later it is only renamed. (The private directory's own times change with every rename, and WASI has
    /// no time of birth.)
    ///
    /// Returns `None` before the first visit, and if the file system keeps no such time.
    pub(super) async fn since(&self) -> Option<SystemTime> {
        if self.since.get().is_none()
            && let Ok(Some(found)) = self.volume.look().await
            && let Ok(modified) = found.dir.modified(&found.ticket.name()).await
        {
            self.since.set(modified);
        }
        self.since.get()
    }
}

pub(super) fn cannot_write(cause: FsError) -> CountError {
    CountError::refused(&format!("cannot write {}", record::FILE), cause)
}
