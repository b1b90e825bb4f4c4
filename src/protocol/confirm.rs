//! The confirmation: a change of the private directory after a sync, before anybody is answered.
//!
//! A sync may report success and have stored nothing. ext4 gives up its journal after an I/O error or damage, and drops the
//! changes that it has not stored. A sync that begins then finds nothing to wait for (seen on Linux 6.18). A moment later
//! the file system declares itself read-only. But from the beginning no change of a directory succeeds. So a sync is trusted
//! once a change has succeeded after it:
//! - Under load that is the next claim, which costs nothing.
//! - Otherwise the ticket gets another name for the same number, by one rename. It needs no space. If it succeeds, nobody else
//!   has claimed, so what was written to `visits.bin` before it was not late.
//! - If other instances claim, such a rename makes their claims fail, and a claim made before the sync proves nothing. So a
//!   file is created beside the ticket, and removed. If there is no space for it, it is a claim of no visits.

use super::claim::{Claim, Claims};
use super::directory::{Directory, FsErrorKind};
use super::error::{CountError, CountResult};
use super::platform::Platform;
use super::publication::Publication;
use super::rule::{Rule, kept};
use super::ticket::PRIVATE;
use super::volume::Found;

impl<P: Platform> Claims<P> {
    /// Confirms the sync of a claim that was published, and that no other claim of this instance follows. Returns what is to
    /// be published once more, because others may have claimed. Set `others_wait` if it is another instance's turn.
    ///
    /// # Errors
    /// Returns why nothing can be changed. Then the sync may have stored nothing.
    pub(super) async fn confirm(
        &self,
        claim: &Claim<P>,
        others_wait: bool,
    ) -> CountResult<Option<Claim<P>>> {
        if !kept(Rule::Confirm) {
            return Ok(None);
        }
        let Found { dir, ticket } = &claim.found;
        let alone = !others_wait && claim.publication != Publication::Done;
        if alone
            && let Some((known, next)) = self.known.take()
            && known == *ticket
        {
            let renamed = ticket.after(0, self.volume.platform.random())?;
            if self.rename(dir, *ticket, renamed).await? {
                self.known.set(Some((renamed, next)));
                self.publisher.settled();
                return Ok(None);
            }
        }
        let name = ticket.confirmation_name();
        match dir.create_file(&name).await {
            Ok(()) => {
                // If it stays, a look at a higher ticket removes it.
                let _ = dir.remove_file(&name).await;
                // Without a fence, what was written may have been late.
                let fenced = claim.publication == Publication::Done;
                Ok((!fenced).then(|| claim.without_fence()))
            }
            Err(e) if e.kind == FsErrorKind::NoSpace => {
                // A claim from a ticket of its own would give it the name that it has.
                self.forget();
                self.claim(0, None).await.map(Some)
            }
            Err(e) => {
                let what = format!("cannot create {PRIVATE}/{name}");
                Err(CountError::refused(&what, e))
            }
        }
    }
}

impl<P: Platform> Claim<P> {
    /// Returns this claim with a publication that looks for claims of others.
    fn without_fence(&self) -> Self {
        Claim {
            before: self.before,
            found: Found {
                dir: self.found.dir.clone(),
                ticket: self.found.ticket,
            },
            record: self.record.clone(),
            publication: Publication::WriteAndLook,
        }
    }
}
