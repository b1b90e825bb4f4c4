//! Can this volume be counted on, now? A probe that needs no space, leaves no trace and does not count.

use super::directory::{Directory, FsErrorKind};
use super::error::CountResult;
use super::platform::Platform;
use super::record;
use super::volume::{Found, PRIVATE, Volume, refused};

impl<P: Platform> Volume<P> {
    /// Reads and mends like [`Volume::current`], and tries whatever a visit would need to write.
    ///
    /// # Errors
    /// What a visitor would be told, were there one.
    pub async fn probe(&self) -> CountResult<()> {
        self.refuse_if_poisoned()?;
        match self.look().await? {
            Some(found) => {
                self.mend(&found).await?;
                self.clear_stale_once().await;
                self.try_writing(&found).await
            }
            None => {
                self.recorded().await?;
                self.try_opening().await?;
                self.try_starting().await
            }
        }
    }

    /// Asks to remove the ticket *as a directory*. The system checks, in this order, that the file system is
    /// writable, that the private directory is, and only then that the ticket is no directory: so "not a
    /// directory" says that a rename would be allowed, and nothing has been changed or allocated.
    async fn try_writing(&self, found: &Found<P::Dir>) -> CountResult<()> {
        match found.dir.remove_dir(&found.ticket.name()).await {
            Err(e) if e.kind == FsErrorKind::NotADirectory => {}
            // A visit has moved it meanwhile.
            Err(e) if e.kind == FsErrorKind::NotFound => {}
            Err(e) => return Err(refused(&format!("cannot change {PRIVATE}"), e)),
            Ok(()) => {}
        }
        self.try_opening().await?;
        // Taken as seriously as a visit's: the system reports a lost write to whoever asks first.
        self.trust(found.dir.sync().await, PRIVATE)
    }

    /// Opens `visits.bin` for writing, if it is there, and writes nothing.
    async fn try_opening(&self) -> CountResult<()> {
        match self.root()?.open_file(record::FILE, false).await {
            Err(e) if e.kind != FsErrorKind::NotFound => Err(refused(
                &format!("cannot open {} for writing", record::FILE),
                e,
            )),
            _ => Ok(()),
        }
    }

    /// Where counting has not started, starting is what needs to be possible, space included.
    async fn try_starting(&self) -> CountResult<()> {
        let root = self.root()?;
        let prepared = self.prepared_name();
        let made = root.create_dir(&prepared).await;
        made.map_err(|e| refused(&format!("cannot make {PRIVATE}"), e))?;
        match root.remove_dir(&prepared).await {
            Err(e) if e.kind != FsErrorKind::NotFound => {
                Err(refused(&format!("cannot remove {prepared}"), e))
            }
            _ => Ok(()),
        }
    }
}
