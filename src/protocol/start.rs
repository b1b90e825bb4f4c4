//! The first start, which may take over a volume that the Python app has counted on.
//!
//! Rule 5 of [`super`]. The private directory appears by one rename of a directory that was prepared beside it, with the
//! ticket in it. If a non-empty directory is there, the file system refuses that rename. So exactly one of many first
//! starters wins, and a late one cannot fork the count. An empty directory, left by a power cut, is replaced.

use super::directory::{Directory, FsErrorKind};
use super::error::{CountError, CountResult};
use super::platform::{Platform, ROOT};
use super::record;
use super::retry::jitter;
use super::rule::{Rule, kept};
use super::takeover::{Original, unless_cleared};
use super::ticket::{PRIVATE, Ticket};
use super::volume::Volume;
use anyhow::anyhow;
use std::cell::Cell;
use std::rc::Rc;

/// How often a starter tries again after its preparation was cleared away.
const MAX_TRIES: u32 = 8;

/// One instance's start of a volume.
pub(super) struct Starter<P: Platform> {
    pub(super) volume: Rc<Volume<P>>,
    /// Whether this instance has removed what crashed starters left.
    pub(super) cleared: Cell<bool>,
}

impl<P: Platform> Starter<P> {
    /// Returns the starter of an instance that has not looked at the volume yet.
    pub(super) fn new(volume: Rc<Volume<P>>) -> Self {
        Starter {
            volume,
            cleared: Cell::new(false),
        }
    }

    /// Makes the private directory, unless another starter has.
    pub(super) async fn start(&self) -> CountResult<()> {
        let volume = &*self.volume;
        let root = volume.root()?;
        let original = volume.original().await?;
        // A starter makes the private directory before it writes `visits.bin`. So the file that was read is input only if
        // the directory is still missing.
        if volume.look().await?.is_some() {
            return Ok(());
        }
        self.try_opening().await?;
        for attempt in 0..MAX_TRIES {
            let prepared = self.prepared_name();
            if let Err(error) = self.prepare(&root, &prepared, &original).await {
                remove_prepared(&root, &prepared).await;
                return Err(error);
            }
            match root.rename(&prepared, PRIVATE).await {
                Ok(()) => {
                    if let Some(line) = original.report() {
                        volume.platform.log(&line);
                    }
                    volume.anchor_anew().await?;
                    self.clear_stale_once().await;
                    return Ok(());
                }
                // Another starter has won.
                Err(e) if matches!(e.kind, FsErrorKind::NotEmpty | FsErrorKind::Exists) => {
                    remove_prepared(&root, &prepared).await;
                    return Ok(());
                }
                // Another starter has cleared this preparation. It has won, or is about to.
                Err(e) if e.kind == FsErrorKind::NotFound => {
                    jitter(&*volume.platform, attempt).await;
                    if volume.look().await?.is_some() {
                        return Ok(());
                    }
                }
                Err(e) => {
                    remove_prepared(&root, &prepared).await;
                    let what = format!("cannot rename {prepared} to {PRIVATE}");
                    return Err(CountError::refused(&what, e));
                }
            }
        }
        Err(CountError::unavailable(anyhow!(
            "cannot create {ROOT}/{PRIVATE}: something removes what is prepared for it"
        )))
    }

    /// Checks that counting could start, space included, and leaves no trace.
    pub(super) async fn try_starting(&self) -> CountResult<()> {
        let root = self.volume.root()?;
        let original = self.volume.original().await?;
        Ticket::first(original.visits).after(1, 0)?;
        self.try_opening().await?;
        let prepared = self.prepared_name();
        let tried = async {
            match make_private(&root, &prepared, &original).await? {
                Some(dir) => self.volume.try_space(&dir, &original).await,
                None => Ok(()),
            }
        };
        let tried = tried.await;
        remove_prepared(&root, &prepared).await;
        tried
    }

    /// Opens `visits.bin` for writing if it exists, and writes nothing.
    async fn try_opening(&self) -> CountResult<()> {
        match self.volume.root()?.open_file(record::FILE, false).await {
            Err(e) if e.kind != FsErrorKind::NotFound => {
                let what = format!("cannot write {}", record::FILE);
                Err(CountError::refused(&what, e))
            }
            _ => Ok(()),
        }
    }

    /// Returns a new name for a preparation, which [`is_prepared`] recognises.
    fn prepared_name(&self) -> String {
        format!("{PRIVATE}-{:016x}", self.volume.platform.random())
    }

    /// Makes durable everything that must be there before the rename shows it.
    async fn prepare(&self, root: &P::Dir, prepared: &str, original: &Original) -> CountResult<()> {
        let volume = &self.volume;
        let Some(dir) = make_private(root, prepared, original).await? else {
            return Ok(());
        };
        let ticket = Ticket::first(original.visits).name();
        let Some(synced) = unless_cleared(dir.sync_file(&ticket).await) else {
            return Ok(());
        };
        volume.trust(synced, prepared)?;
        volume.keep(root, &dir, original).await?;
        match kept(Rule::SyncPrepared) {
            true => volume.trust(dir.sync().await, prepared),
            false => Ok(()),
        }
    }

    /// Removes the preparations of crashed or beaten starters, once per instance. It is called only when the private
    /// directory exists, so a starter whose preparation is removed has lost in any case.
    pub(super) async fn clear_stale_once(&self) {
        if self.cleared.replace(true) {
            return;
        }
        let Ok(root) = self.volume.root() else { return };
        for entry in root.list().await.unwrap_or_default() {
            if is_prepared(&entry.name) {
                remove_prepared(&root, &entry.name).await;
            }
        }
    }
}

/// Creates the directory `prepared` with the first ticket in it. Returns `None` if another starter, which has won,
/// cleared it in the meantime.
async fn make_private<D: Directory>(
    root: &D,
    prepared: &str,
    original: &Original,
) -> CountResult<Option<D>> {
    let cannot = |e| CountError::refused(&format!("cannot create {PRIVATE}"), e);
    root.create_dir(prepared).await.map_err(cannot)?;
    let Some(dir) = unless_cleared(root.open_dir(prepared).await) else {
        return Ok(None);
    };
    let dir = dir.map_err(cannot)?;
    let ticket = Ticket::first(original.visits).name();
    let created = unless_cleared(dir.create_file(&ticket).await);
    created
        .map(|it| it.map(|()| dir).map_err(cannot))
        .transpose()
}

fn is_prepared(name: &str) -> bool {
    name.strip_prefix(PRIVATE)
        .and_then(|rest| rest.strip_prefix('-'))
        .is_some_and(|hex| {
            hex.len() == 16 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        })
}

/// Removes a prepared directory and the files in it. What cannot be removed stays, and is never read as a count.
async fn remove_prepared<D: Directory>(root: &D, prepared: &str) {
    if let Ok(dir) = root.open_dir(prepared).await {
        for entry in dir.list().await.unwrap_or_default() {
            if !entry.is_dir {
                let _ = dir.remove_file(&entry.name).await;
            }
        }
    }
    let _ = root.remove_dir(prepared).await;
}

#[cfg(test)]
mod tests {
    use super::is_prepared;

    #[test]
    fn only_our_own_preparations_are_cleared() {
        assert!(is_prepared(".visits-0123456789abcdef"));
        for name in [
            ".visits",
            ".visits-",
            ".visits-0123456789abcde",
            ".visits-0123456789ABCDEF",
            ".visits-0123456789abcdef0",
            ".visits-backup-of-monday",
            "visits-0123456789abcdef",
        ] {
            assert!(!is_prepared(name), "{name}");
        }
    }
}
