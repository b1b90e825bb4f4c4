//! Whether this volume can be counted on now: a probe that does all that a visit does before its claim, and leaves no
//! trace.

use super::directory::{Directory, FsErrorKind};
use super::error::CountResult;
use super::platform::Platform;
use super::volume::{Found, PRIVATE, Volume, next, refused};

impl<P: Platform> Volume<P> {
    /// Mends like [`Volume::current`], and tries whatever a visit would need to write.
    ///
    /// # Errors
    /// Returns the error that a visitor would get.
    pub async fn probe(&self) -> CountResult<()> {
        self.refuse_if_poisoned()?;
        match self.look().await? {
            Some(found) => {
                next(found.ticket, 1)?;
                self.open_record(&found).await?;
                self.mend(&found).await?;
                self.clear_stale_once().await;
                self.try_renaming(&found).await
            }
            None => self.try_starting().await,
        }
    }

    /// Asks to remove the ticket *as a directory*. The system checks, in this order, that the file system is
    /// writable, that the private directory is, and only then that the ticket is no directory: so "not a
    /// directory" says that a rename would be allowed, and nothing has been changed or allocated.
    async fn try_renaming(&self, found: &Found<P::Dir>) -> CountResult<()> {
        match found.dir.remove_dir(&found.ticket.name()).await {
            Err(e) if e.kind == FsErrorKind::NotADirectory => {}
            // A visit has moved it meanwhile.
            Err(e) if e.kind == FsErrorKind::NotFound => {}
            Err(e) => return Err(refused(&format!("cannot change {PRIVATE}"), e)),
            Ok(()) => {}
        }
        // Taken as seriously as a visit's: the system reports a lost write to whoever asks first.
        self.trust(found.dir.sync().await, PRIVATE)
    }
}
