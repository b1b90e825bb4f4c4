//! The first start, and taking over a volume that the Python app has counted on.
//!
//! Rule 5 of [`super`]. The private directory appears by one rename of a directory prepared beside it, ticket and
//! all. The file system refuses that rename where a non-empty directory is, so exactly one of many first starters
//! wins, and a late one cannot fork the count; an empty one, left by a power cut, is replaced.

use super::directory::{Directory, FsErrorKind};
use super::error::{CountError, CountResult};
use super::platform::{Platform, jitter};
use super::record;
use super::ticket::Ticket;
use super::volume::{PRIVATE, ROOT, Volume, refused};
use anyhow::anyhow;

/// How often a starter whose preparation was cleared away tries again.
const TRIES: u32 = 8;

impl<P: Platform> Volume<P> {
    /// Makes the private directory, or finds that another starter has.
    pub(super) async fn start(&self) -> CountResult<()> {
        let root = self.root()?;
        let first = Ticket(self.recorded().await?);
        for attempt in 0..TRIES {
            let prepared = self.prepared_name();
            if let Err(error) = self.prepare(&root, &prepared, first).await {
                remove_prepared(&root, &prepared).await;
                return Err(error);
            }
            match root.rename(&prepared, &root, PRIVATE).await {
                Ok(()) => {
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

    /// What `visits.bin` says, as input: the count where the private directory is missing.
    pub(super) async fn recorded(&self) -> CountResult<u64> {
        let read = self.root()?.read(record::FILE, record::LONGEST + 1).await;
        match read {
            Ok(bytes) => record::decode(&bytes).map_err(|why| {
                CountError::not_a_count(anyhow!(
                    "{ROOT}/{} cannot be a count: {why}; it is left as it is",
                    record::FILE
                ))
            }),
            Err(e) if e.kind == FsErrorKind::NotFound => Ok(0),
            Err(e) => Err(refused(&format!("cannot read {}", record::FILE), e)),
        }
    }

    /// A new name for what is prepared; [`is_prepared`] knows it.
    pub(super) fn prepared_name(&self) -> String {
        format!("{PRIVATE}-{:016x}", self.platform.random())
    }

    /// Everything that must be there, durably, before the rename shows it.
    async fn prepare(&self, root: &P::Dir, prepared: &str, first: Ticket) -> CountResult<()> {
        let cannot = |e| refused(&format!("cannot prepare {prepared}"), e);
        root.create_dir(prepared).await.map_err(cannot)?;
        let dir = match root.open_dir(prepared).await {
            // Cleared by a starter that has won: the rename will say so.
            Err(e) if e.kind == FsErrorKind::NotFound => return Ok(()),
            opened => opened.map_err(cannot)?,
        };
        match dir.create_file(&first.name()).await {
            Err(e) if e.kind == FsErrorKind::NotFound => return Ok(()),
            created => created.map_err(cannot)?,
        }
        match dir.sync_file(&first.name()).await {
            Err(e) if e.kind == FsErrorKind::NotFound => return Ok(()),
            synced => self.trust(synced, prepared)?,
        }
        self.trust(dir.sync().await, prepared)
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

/// Removes a prepared directory and the tickets in it. What cannot be removed stays: it is never read as a count.
async fn remove_prepared<D: Directory>(root: &D, prepared: &str) {
    if let Ok(dir) = root.open_dir(prepared).await {
        for entry in dir.list().await.unwrap_or_default() {
            if Ticket::of(&entry).is_some() {
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
