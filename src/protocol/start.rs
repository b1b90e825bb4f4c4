//! The first start, and taking over a volume that the Python app has counted on.
//!
//! Rule 5 of [`super`]. The private directory appears by one rename of a directory prepared beside it, ticket and
//! all. The file system refuses that rename where a non-empty directory is, so exactly one of many first starters
//! wins, and a late one cannot fork the count; an empty one, left by a power cut, is replaced.

use super::directory::{Directory, FsErrorKind};
use super::error::{CountError, CountResult};
use super::platform::{Platform, jitter};
use super::record;
use super::takeover::Original;
use super::ticket::Ticket;
use super::volume::{PRIVATE, ROOT, Volume, next, refused};
use anyhow::anyhow;

/// How often a starter whose preparation was cleared away tries again.
const TRIES: u32 = 8;

impl<P: Platform> Volume<P> {
    /// Makes the private directory, or finds that another starter has.
    pub(super) async fn start(&self) -> CountResult<()> {
        let root = self.root()?;
        let original = self.original().await?;
        // The private directory is there before `visits.bin` is written to. So what was read is input only if the
        // directory is still missing.
        if self.look().await?.is_some() {
            return Ok(());
        }
        self.try_opening().await?;
        for attempt in 0..TRIES {
            let prepared = self.prepared_name();
            if let Err(error) = self.prepare(&root, &prepared, &original).await {
                remove_prepared(&root, &prepared).await;
                return Err(error);
            }
            match root.rename(&prepared, &root, PRIVATE).await {
                Ok(()) => {
                    if let Some(line) = original.report() {
                        self.platform.log(&line);
                    }
                    // Whatever was synced before was another directory of that name.
                    self.anchored.set(false);
                    self.anchor().await?;
                    self.clear_stale_once().await;
                    return Ok(());
                }
                // Another starter has won.
                Err(e) if matches!(e.kind, FsErrorKind::NotEmpty | FsErrorKind::Exists) => {
                    remove_prepared(&root, &prepared).await;
                    return Ok(());
                }
                // Another starter has won and cleared this one's preparation, or has yet to.
                Err(e) if e.kind == FsErrorKind::NotFound => {
                    jitter(&*self.platform, attempt).await;
                    if self.look().await?.is_some() {
                        return Ok(());
                    }
                }
                Err(e) => {
                    remove_prepared(&root, &prepared).await;
                    return Err(refused(
                        &format!("cannot rename {prepared} to {PRIVATE}"),
                        e,
                    ));
                }
            }
        }
        Err(CountError::unavailable(anyhow!(
            "cannot make {ROOT}/{PRIVATE}: something clears what is prepared for it"
        )))
    }

    /// Tries whether counting could start, space included, and leaves no trace.
    pub(super) async fn try_starting(&self) -> CountResult<()> {
        let root = self.root()?;
        let original = self.original().await?;
        next(Ticket(original.visits), 1)?;
        self.try_opening().await?;
        let prepared = self.prepared_name();
        let tried = async {
            match self.make_private(&root, &prepared, &original).await? {
                Some(dir) => self.try_space(&dir, &original).await,
                None => Ok(()),
            }
        };
        let tried = tried.await;
        remove_prepared(&root, &prepared).await;
        tried
    }

    /// Opens `visits.bin` for writing, if it is there, and writes nothing.
    async fn try_opening(&self) -> CountResult<()> {
        match self.root()?.open_file(record::FILE, false).await {
            Err(e) if e.kind != FsErrorKind::NotFound => {
                Err(refused(&format!("cannot write {}", record::FILE), e))
            }
            _ => Ok(()),
        }
    }

    /// A new name for what is prepared; [`is_prepared`] knows it.
    fn prepared_name(&self) -> String {
        format!("{PRIVATE}-{:016x}", self.platform.random())
    }

    /// Puts there, durably, everything that must be there before the rename shows it.
    async fn prepare(&self, root: &P::Dir, prepared: &str, original: &Original) -> CountResult<()> {
        let Some(dir) = self.make_private(root, prepared, original).await? else {
            return Ok(());
        };
        match dir.sync_file(&Ticket(original.visits).name()).await {
            Err(e) if e.kind == FsErrorKind::NotFound => return Ok(()),
            synced => self.trust(synced, prepared)?,
        }
        self.trust(dir.sync().await, prepared)?;
        self.keep(root, original).await
    }

    /// Makes the directory `prepared` with the first ticket in it. Returns `None` if a starter that has won cleared
    /// it meanwhile.
    async fn make_private(
        &self,
        root: &P::Dir,
        prepared: &str,
        original: &Original,
    ) -> CountResult<Option<P::Dir>> {
        let cannot = |e| refused(&format!("cannot make {PRIVATE}"), e);
        root.create_dir(prepared).await.map_err(cannot)?;
        let dir = match root.open_dir(prepared).await {
            Err(e) if e.kind == FsErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(cannot)?,
        };
        match dir.create_file(&Ticket(original.visits).name()).await {
            Err(e) if e.kind == FsErrorKind::NotFound => Ok(None),
            created => created.map(|()| Some(dir)).map_err(cannot),
        }
    }

    /// [`Volume::clear_stale`], the first time that this instance has the leisure.
    pub(super) async fn clear_stale_once(&self) {
        if !self.cleared.replace(true) {
            self.clear_stale().await;
        }
    }

    /// Removes what crashed or beaten starters have prepared. Only called once the private directory is there, so
    /// that a starter whose preparation is cleared can only ever find that it has lost.
    async fn clear_stale(&self) {
        let Ok(root) = self.root() else { return };
        for entry in root.list().await.unwrap_or_default() {
            if is_prepared(&entry.name) {
                remove_prepared(&root, &entry.name).await;
            }
        }
    }
}

fn is_prepared(name: &str) -> bool {
    name.strip_prefix(PRIVATE)
        .and_then(|rest| rest.strip_prefix('-'))
        .is_some_and(|hex| {
            hex.len() == 16 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        })
}

/// Removes a prepared directory and the files in it. What cannot be removed stays: it is never read as a count.
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
