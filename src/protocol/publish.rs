//! `visits.bin`: written before any visitor hears a number, and mended by any request.
//!
//! Rule 4 of [`super`]. Publishers of several instances race, and may die: each writes the ticket it has just
//! read, reads it again afterwards, and writes anew until both agree. What a publisher that dies late leaves
//! behind is put right by [`Volume::current`], which every request that does not count goes through.

use super::directory::{Directory, FsError, FsErrorKind, OpenFile};
use super::error::{CountError, CountResult};
use super::platform::Platform;
use super::record;
use super::ticket::Ticket;
use super::volume::{Found, PRIVATE, ROOT, Volume, refused};
use anyhow::anyhow;
use std::time::{Duration, SystemTime};

/// How often, and for how long, a publisher writes anew because others have moved the ticket meanwhile. Both bounds
/// must be passed: one slow write is no reason to give up.
const TRIES: u32 = 16;
const PUBLISH_LIMIT: Duration = Duration::from_secs(5);

impl<P: Platform> Volume<P> {
    /// Makes `visits.bin` say what the ticket says, which is `found` or more, and nothing beyond.
    pub(super) async fn publish(&self, found: &Found<P::Dir>) -> CountResult<()> {
        let ticket = self.latest(&found.dir, found.ticket).await?;
        let file = self.write_ticket(&found.dir, ticket).await?;
        // Only a file that something else has written is ever longer.
        let length = record::encode(0).len() as u64;
        file.truncate(length).await.map_err(cannot_write)
    }

    /// [`Volume::publish`] for a ticket that was claimed a moment ago, which is as good as having read it, and soon
    /// again: a longer file is left for the last publisher to cut.
    pub(super) async fn publish_claimed(&self, found: &Found<P::Dir>) -> CountResult<()> {
        self.write_ticket(&found.dir, found.ticket).await.map(drop)
    }

    /// Writes the ticket, and anew until it is what is read afterwards.
    async fn write_ticket(
        &self,
        dir: &P::Dir,
        mut ticket: Ticket,
    ) -> CountResult<<P::Dir as Directory>::File> {
        // Until the private directory is sure to survive, the file may be the only count that a power cut leaves.
        self.anchor().await?;
        let root = self.root()?;
        let deadline = self.platform.now() + PUBLISH_LIMIT;
        let file = root.open_file(record::FILE, true).await;
        let file = file.map_err(cannot_write)?;
        for attempt in 0.. {
            let bytes = record::encode(ticket.0);
            file.write(&bytes).await.map_err(cannot_write)?;
            let after = self.latest(dir, ticket).await?;
            if after == ticket {
                return Ok(file);
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
            return self.recorded().await;
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
            Ok(_) => self.publish(found).await,
            Err(e) if e.kind == FsErrorKind::NotFound => self.publish(found).await,
            Err(e) => Err(refused(&format!("cannot read {}", record::FILE), e)),
        }
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
