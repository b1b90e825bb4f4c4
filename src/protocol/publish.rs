//! `visits.bin`: open before a claim, written before any visitor hears a number, and mended by any request.
//!
//! Rules 4 and 7 of [`super`]. Publishers of several instances race, and may die: each writes the ticket it has just
//! read, reads it again afterwards, and writes anew until both agree. What a publisher that dies late leaves
//! behind is put right by [`Volume::current`], which every request that does not count goes through.

use super::directory::{Directory, FsError, FsErrorKind, OpenFile};
use super::error::{CountError, CountResult};
use super::platform::Platform;
use super::record;
use super::ticket::Ticket;
use super::volume::{Claim, Found, PRIVATE, ROOT, Volume, refused};
use anyhow::anyhow;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

/// How often, and for how long, a publisher writes anew because others have moved the ticket meanwhile. Both bounds
/// must be passed: one slow write is no reason to give up.
const TRIES: u32 = 16;
const PUBLISH_LIMIT: Duration = Duration::from_secs(5);

impl<P: Platform> Volume<P> {
    /// Opens `visits.bin` for writing, and makes it if it is missing, for a claim that may follow.
    ///
    /// Opening shows a lasting obstacle: owner, mode, an immutable or read-only file, something else in its place.
    /// It does not show that there is space, so the ticket is written to a file that is not 8 bytes long, and to any
    /// file if this instance has not written to it yet, or failed to.
    pub(super) async fn open_record(
        &self,
        found: &Found<P::Dir>,
    ) -> CountResult<Rc<<P::Dir as Directory>::File>> {
        self.anchor().await?;
        let opened = self.root()?.open_file(record::FILE, true).await;
        let file = Rc::new(opened.map_err(cannot_write)?);
        if !self.writable.get() || file.size_when_opened() != record::LENGTH {
            self.write_latest(&file, found).await?;
            // Only a file that something else has written is ever longer.
            let cut = file.truncate(record::LENGTH).await;
            self.tried(cut.map_err(cannot_write))?;
        }
        Ok(file)
    }

    /// Makes `visits.bin` say what the ticket says, which is the claimed one or higher.
    pub(super) async fn publish(&self, claim: &Claim<P::Dir>) -> CountResult<()> {
        self.write_latest(&claim.record, &claim.found).await
    }

    /// [`Volume::publish`] for a ticket that was claimed a moment ago, which is as good as having read it.
    pub(super) async fn publish_claimed(&self, claim: &Claim<P::Dir>) -> CountResult<()> {
        let Found { dir, ticket } = &claim.found;
        self.tried(self.write_ticket(&claim.record, dir, *ticket).await)
    }

    /// Passes on the result of publishing, and remembers whether it worked.
    fn tried(&self, published: CountResult<()>) -> CountResult<()> {
        self.writable.set(published.is_ok());
        published
    }

    async fn write_latest(
        &self,
        file: &<P::Dir as Directory>::File,
        found: &Found<P::Dir>,
    ) -> CountResult<()> {
        let written = async {
            let ticket = self.latest(&found.dir, found.ticket).await?;
            self.write_ticket(file, &found.dir, ticket).await
        };
        self.tried(written.await)
    }

    /// Writes the ticket, and anew until it is what is read afterwards.
    async fn write_ticket(
        &self,
        file: &<P::Dir as Directory>::File,
        dir: &P::Dir,
        mut ticket: Ticket,
    ) -> CountResult<()> {
        // Until the private directory is sure to survive, the file may be the only count that a power cut leaves.
        self.anchor().await?;
        let deadline = self.platform.now() + PUBLISH_LIMIT;
        for attempt in 0.. {
            let written = file.write(&record::encode(ticket.0)).await;
            written.map_err(cannot_write)?;
            let after = self.latest(dir, ticket).await?;
            if after == ticket {
                return Ok(());
            }
            if attempt >= TRIES && self.platform.now() > deadline {
                break;
            }
            ticket = after;
        }
        Err(CountError::unavailable(anyhow!(
            "{ROOT}/{PRIVATE} is claimed by others faster than {} can be written, for {PUBLISH_LIMIT:?}",
            record::FILE
        )))
    }

    /// The ticket of this moment: `guess` if it is still there, which costs no listing.
    async fn latest(&self, dir: &P::Dir, guess: Ticket) -> CountResult<Ticket> {
        match dir.modified(&guess.name()).await {
            Ok(_) => Ok(guess),
            // Moved on; or the whole directory is gone, and then what was claimed last stands.
            Err(e) if e.kind == FsErrorKind::NotFound => {
                Ok(self.look().await?.map_or(guess, |found| found.ticket))
            }
            Err(e) => Err(refused(&format!("cannot look at {PRIVATE}"), e)),
        }
    }

    /// The number of visits counted so far; mends `visits.bin` where it says otherwise. Where counting has not
    /// started it is what `visits.bin` says, or 0, and nothing is changed. While visits are being counted it may
    /// include some that are claimed but not yet durable, nor acknowledged.
    ///
    /// # Errors
    /// Only if the count cannot be read: on a volume that cannot be written it is told all the same.
    pub async fn current(&self) -> CountResult<u64> {
        let Some(found) = self.look().await? else {
            return Ok(self.original().await?.visits);
        };
        if let Err(error) = self.mend(&found).await {
            self.platform.log(&format!("not mended: {error}"));
        }
        Ok(found.ticket.0)
    }

    /// Publishes if `visits.bin` is not what the ticket says.
    pub(super) async fn mend(&self, found: &Found<P::Dir>) -> CountResult<()> {
        let expected = record::encode(found.ticket.0);
        let read = self.root()?.read(record::FILE, expected.len() + 1).await;
        match read {
            Ok(bytes) if bytes == expected => Ok(()),
            // A visit needs to write the file, not to read it.
            Ok(_) | Err(_) => self.rewrite(found).await,
        }
    }

    async fn rewrite(&self, found: &Found<P::Dir>) -> CountResult<()> {
        let file = self.open_record(found).await?;
        self.write_latest(&file, found).await
    }

    /// Since when this volume has been counted on: the age of the ticket's file, made by the first start and only
    /// renamed ever since. (The private directory's own times change with every rename, and WASI tells no birth.)
    ///
    /// `None` before the first visit, and where the file system keeps no such time.
    pub async fn since(&self) -> Option<SystemTime> {
        if self.since.get().is_none()
            && let Ok(Some(found)) = self.look().await
            && let Ok(modified) = found.dir.modified(&found.ticket.name()).await
        {
            self.since.set(modified);
        }
        self.since.get()
    }
}

fn cannot_write(cause: FsError) -> CountError {
    refused(&format!("cannot write {}", record::FILE), cause)
}
