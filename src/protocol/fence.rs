//! The fence: why a late publisher cannot overwrite a newer number.
//!
//! A write to an open `visits.bin` cannot be called back. If its publisher is slow, or is killed while the system works, the
//! write lands after those of other instances. So `visits.bin` is *replaced* whenever the claims pass from one instance to
//! another, and late writes go to a file that has no name any more:
//!
//! 1. Each claim has a name of its own ([`Ticket`]). If the ticket that an instance renames is the one that it made last,
//!    nobody else has claimed in between, and it writes to the open file. That is all that an instance does which is alone.
//! 2. Otherwise the instance prepares a file with the number that it is about to claim, `next.484-ID`, beside the ticket.
//!    After the claim it renames that file to `visits.bin`.
//! 3. The rename could be late as well. So whoever is about to claim from the ticket `ticket.484-ID` first renames
//!    `next.484-ID` to `visits.bin` itself. Then it claims, and no file of a lower number is left that could be renamed.
//!
//! A write that lands late was to a file that was opened before its own claim, and so before the claims that followed.
//! These replaced `visits.bin` after they were made and before anybody was answered. So the late write is lost, and was the
//! lower one. If no claim of another instance followed, it is not late.
//!
//! What else writes `visits.bin` does so by such a claim, of no visits: the mend of [`super::probe`].
//!
//! **Without a fence**: a full volume has no space for that file, and a file that is mounted at `visits.bin` cannot be
//! replaced. Then the number is written to the open file, and the ticket is read after it ([`Publisher::settle`]). A publisher
//! that is killed in between may leave `visits.bin` behind until the next request. An I/O error is no such obstacle: it may be
//! gone the next time, so it is passed on.

use super::directory::{Directory, FsError, FsErrorKind, FsResult, OpenFile};
use super::error::CountResult;
use super::platform::{File, Platform};
use super::publish::{Publisher, cannot_write};
use super::record;
use super::rule::{Rule, kept};
use super::ticket::Ticket;
use super::volume::Found;
use std::rc::Rc;

impl<P: Platform> Publisher<P> {
    /// Prepares the file that is to replace `visits.bin` for a ticket that is about to be claimed. Returns `false` if there
    /// can be none.
    pub(super) async fn prepare_next(&self, dir: &P::Dir, ticket: Ticket) -> CountResult<bool> {
        let Err(error) = write_next(dir, ticket).await else {
            return Ok(true);
        };
        self.discard_next(dir, ticket).await;
        lasting(error).map(|_| false)
    }

    /// Replaces `visits.bin` for the ticket that was claimed. Returns `false` if it cannot be replaced.
    pub(super) async fn replace(&self, found: &Found<P::Dir>) -> CountResult<bool> {
        let name = found.ticket.next_name();
        let replaced = self.rename_next(&self.volume.root()?, found).await;
        self.set_writable(replaced.is_ok());
        let Err(error) = replaced else {
            return Ok(true);
        };
        let error = lasting(error)?;
        // Nobody may do so later, because the file is written to as it is.
        match found.dir.remove_file(&name).await {
            Ok(()) => Ok(false),
            Err(e) if e.kind == FsErrorKind::NotFound => Ok(true),
            Err(_) => Err(cannot_write(error)),
        }
    }

    /// Replaces `visits.bin` for a ticket that another has claimed, so that nobody can do so later.
    pub(super) async fn help(&self, file: &Rc<File<P>>, found: &Found<P::Dir>) -> CountResult<()> {
        let expected = record::encode(found.ticket.number);
        let name = found.ticket.next_name();
        match found.dir.read(&name, expected.len() + 1).await {
            Ok(bytes) if bytes == expected || !kept(Rule::CheckNext) => {
                match self.rename_next(&self.volume.root()?, found).await {
                    Ok(()) => return Ok(()),
                    Err(error) => {
                        lasting(error)?;
                        self.publish(file, found).await?;
                    }
                }
            }
            // A power cut has left it incomplete.
            Ok(_) => {}
            Err(e) if e.kind == FsErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(cannot_write(e)),
        }
        match found.dir.remove_file(&name).await {
            Err(e) if e.kind != FsErrorKind::NotFound => Err(cannot_write(e)),
            _ => Ok(()),
        }
    }

    async fn rename_next(&self, root: &P::Dir, found: &Found<P::Dir>) -> FsResult<()> {
        let name = found.ticket.next_name();
        match found.dir.rename_into(&name, root, record::FILE).await {
            // Whoever claims after this ticket has done so.
            Err(e) if e.kind == FsErrorKind::NotFound => Ok(()),
            renamed => renamed,
        }
    }

    /// Removes the file of a ticket that was not claimed. If it stays, a look at a higher ticket removes it.
    pub(super) async fn discard_next(&self, dir: &P::Dir, ticket: Ticket) {
        if let Err(error) = dir.remove_file(&ticket.next_name()).await
            && error.kind != FsErrorKind::NotFound
        {
            let line = format!("{} not removed: {error}", ticket.next_name());
            self.volume.platform.log(&line);
        }
    }

    /// Checks that a visit could publish its number, by all that it would do before its claim.
    pub(super) async fn try_publishing(
        &self,
        file: &Rc<File<P>>,
        found: &Found<P::Dir>,
        id: u64,
    ) -> CountResult<()> {
        let ticket = found.ticket.after(0, id)?;
        if self.prepare_next(&found.dir, ticket).await? {
            self.discard_next(&found.dir, ticket).await;
            return Ok(());
        }
        self.prepare(file, found).await
    }
}

/// Returns the error of an obstacle that may last, and passes on any other.
fn lasting(error: FsError) -> CountResult<FsError> {
    match error.kind {
        FsErrorKind::Io => Err(cannot_write(error)),
        _ => Ok(error),
    }
}

async fn write_next<D: Directory>(dir: &D, ticket: Ticket) -> FsResult<()> {
    let file = dir.open_file(&ticket.next_name(), true).await?;
    file.write(&record::encode(ticket.number)).await
}
