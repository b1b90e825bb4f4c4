//! The probe: all that a visit does before its claim, without a trace.

use super::claim::Claims;
use super::directory::{Directory, FsErrorKind};
use super::error::{CountError, CountResult};
use super::platform::Platform;
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
                found.ticket.after(1)?;
                self.publisher.open_record(&found).await?;
                self.publisher.mend(&found).await?;
                self.starter.clear_stale_once().await;
                self.try_renaming(&found).await
            }
            None => self.starter.try_starting().await,
        }
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
