//! Requests that do not count: reading the count, mending `visits.bin`, and the probe, which does all that a visit does before
//! its claim, without a trace.

use super::claim::{Attempt, Claims};
use super::directory::{Directory, FsErrorKind};
use super::error::{CountError, CountResult};
use super::platform::Platform;
use super::publication::Publication;
use super::record;
use super::rule::{Rule, kept};
use super::ticket::PRIVATE;
use super::volume::Found;

impl<P: Platform> Claims<P> {
    /// Checks that a visit could be counted now, by trying everything that it would need to write. Mends `visits.bin`.
    ///
    /// # Errors
    /// Returns the error that a visitor would get.
    pub(super) async fn probe(&self) -> CountResult<()> {
        self.volume.refuse_if_poisoned()?;
        match self.volume.look().await? {
            Some(found) => {
                found.ticket.after(1, 0)?;
                let record = self.publisher.open().await?;
                self.mend(&found).await?;
                if !self.publisher.writable() {
                    let id = self.volume.platform.random();
                    self.publisher.try_publishing(&record, &found, id).await?;
                }
                self.starter.clear_stale_once().await;
                self.try_renaming(&found).await
            }
            None => self.starter.try_starting().await,
        }
    }

    /// Returns the number of visits counted so far, and mends `visits.bin` if it holds another. Before counting has
    /// started, returns what `visits.bin` holds, or 0, and changes nothing. While visits are being counted, the number
    /// may include some that are claimed and neither durable nor acknowledged yet.
    ///
    /// # Errors
    /// Returns why the count cannot be read. A volume that cannot be written to is not an error.
    pub(super) async fn current(&self) -> CountResult<u64> {
        let Some(found) = self.volume.look().await? else {
            return Ok(self.volume.original().await?.visits);
        };
        if let Err(error) = self.mend(&found).await {
            let line = format!("{} not mended: {error}", record::FILE);
            self.volume.platform.log(&line);
        }
        Ok(found.ticket.number)
    }

    /// Publishes if `visits.bin` does not hold the ticket's number. It claims the ticket for no visits, because a write
    /// beside those of others could be late. If others claim at the same time, it is they who publish.
    async fn mend(&self, found: &Found<P::Dir>) -> CountResult<()> {
        // This instance is about to publish.
        if !kept(Rule::Mend) || self.is_busy() || self.is_published(found).await? {
            return Ok(());
        }
        let record = self.publisher.open().await?;
        self.publisher.help(&record, found).await?;
        if self.is_published(found).await? {
            return Ok(());
        }
        let found = Found {
            dir: found.dir.clone(),
            ticket: found.ticket,
        };
        // A mend is not repeated.
        if let Attempt::Lost(dir, ticket, Publication::Done) =
            self.attempt(found, 0, &record).await?
        {
            self.publisher.discard_next(&dir, ticket).await;
        }
        Ok(())
    }

    /// Returns whether `visits.bin` holds the ticket's number.
    async fn is_published(&self, found: &Found<P::Dir>) -> CountResult<bool> {
        let expected = record::encode(found.ticket.number);
        let root = self.volume.root()?;
        let read = root.read(record::FILE, expected.len() + 1).await;
        // An error means no: a visit writes the file and does not read it.
        Ok(read.is_ok_and(|bytes| bytes == expected))
    }

    /// Checks that the ticket could be renamed, by removing it *as a directory*. The system first checks that the file
    /// system and the private directory are writable, and then that the ticket is a directory. So "not a directory" means
    /// that a rename would be allowed, and nothing has been changed or allocated.
    async fn try_renaming(&self, found: &Found<P::Dir>) -> CountResult<()> {
        match found.dir.remove_dir(&found.ticket.name()).await {
            Err(e) if e.kind == FsErrorKind::NotADirectory => {}
            // A visit has moved it in the meantime.
            Err(e) if e.kind == FsErrorKind::NotFound => {}
            Err(e) => {
                let what = format!("cannot change {PRIVATE}");
                return Err(CountError::refused(&what, e));
            }
            Ok(()) => {}
        }
        // The system reports a lost write once, to the first sync. So this one counts like a visit's.
        self.volume.trust(found.dir.sync().await, PRIVATE)
    }
}
