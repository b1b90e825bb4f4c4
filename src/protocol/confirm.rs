//! The confirmation: a change of the private directory after a sync, before anybody is answered.
//!
//! A sync may report success and have stored nothing. ext4 does so (seen on Linux 6.18) while it gives up its journal,
//! after an I/O error or damage: it ends the transaction that it cannot store, and a sync that begins then finds nothing to
//! wait for, until the file system declares itself read-only a moment later. But once the journal is given up, no change
//! of a directory succeeds. So a sync is believed when a change has succeeded after it:
//! - Under load that is the next claim, which costs nothing.
//! - Otherwise the ticket gets another name for the same number, by one rename. It needs no space.
//! - Beside other instances such a rename would make their claims lose, and theirs may have been before the sync. Then a file
//!   is created beside the ticket, and removed. If it cannot be, on a full volume for example, it is a claim of no visits.

use super::claim::{Claim, Claims};
use super::directory::Directory;
use super::error::CountResult;
use super::platform::Platform;
use super::publication::Publication;
use super::rule::{Rule, kept};
use super::ticket::Ticket;
use super::volume::Found;

impl<P: Platform> Claims<P> {
    /// Confirms the sync of a claim that no other claim of this instance follows. `others_wait` is whether it is another
    /// instance's turn. Returns the claim to publish instead of
    /// this one, if the ticket has another name now.
    ///
    /// # Errors
    /// Returns why nothing can be changed any more. Then the sync may have stored nothing.
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
            && let Some((known, next)) = self.known.get()
            && known == *ticket
        {
            self.known.set(None);
            let renamed = ticket.after(0, self.volume.platform.random())?;
            if self.rename(dir, *ticket, renamed).await? {
                self.known.set(Some((renamed, next)));
                return Ok(Some(claim.of(renamed)));
            }
        }
        let name = ticket.confirmation_name();
        match dir.create_file(&name).await {
            Ok(()) => {
                // If it stays, a look at a higher ticket removes it.
                let _ = dir.remove_file(&name).await;
                Ok(None)
            }
            Err(_) => self.claim(0, None).await.map(Some),
        }
    }
}

impl<P: Platform> Claim<P> {
    /// Returns this claim under another name of its ticket.
    fn of(&self, ticket: Ticket) -> Self {
        Claim {
            before: self.before,
            found: Found {
                dir: self.found.dir.clone(),
                ticket,
            },
            record: self.record.clone(),
            publication: self.publication,
        }
    }
}
