//! Taking over a `visits.bin` that something else has written: the count in it, and a copy of its bytes.
//!
//! The copy's name carries the count that the bytes were read as. So two starters that race write the same bytes to the
//! same name, an earlier copy of another count stays untouched, and copies need no numbering.

use super::directory::{Directory, FsError, FsErrorKind, FsResult, OpenFile};
use super::error::{CountError, CountResult};
use super::platform::{Platform, ROOT};
use super::record;
use super::rule::{Rule, kept};
use super::volume::Volume;
use anyhow::anyhow;

/// What `visits.bin` holds before counting has started.
pub(super) struct Original {
    bytes: Vec<u8>,
    /// The count that the bytes stand for; 0 if the file is missing or empty.
    pub(super) visits: u64,
}

impl Original {
    /// Reads the file's bytes, `None` for a missing file.
    ///
    /// # Errors
    /// Returns why the bytes are not a count.
    fn read(bytes: Option<Vec<u8>>) -> CountResult<Self> {
        let bytes = bytes.unwrap_or_default();
        let visits = record::decode(&bytes).map_err(|why| {
            CountError::not_a_count(anyhow!(
                "{ROOT}/{} cannot be a count and is left as it is: {why}",
                record::FILE
            ))
        })?;
        Ok(Original { bytes, visits })
    }

    /// Returns whether `visits.bin` is missing or empty.
    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Returns the name of the copy; `None` if the 8 bytes that this counter writes keep everything.
    fn copy_name(&self) -> Option<String> {
        let ours = self.is_empty() || self.bytes == record::encode(self.visits);
        (!ours).then(|| format!("{}.taken-over-{}", record::FILE, self.visits))
    }

    /// Returns the log line about the start; `None` if there was nothing to take over.
    pub(super) fn report(&self) -> Option<String> {
        if self.is_empty() {
            return None;
        }
        let (length, visits) = (self.bytes.len(), self.visits);
        let plural = if length == 1 { "" } else { "s" };
        let kept = match self.copy_name() {
            Some(copy) => format!("the original is kept in {ROOT}/{copy}"),
            None => "it is as this counter writes it, so no copy is kept".into(),
        };
        let text = match record::as_text(&self.bytes) {
            Some(text) => format!(
                "; as text it would be {text:?}: if that is meant, stop, remove .visits, and {}",
                record::conversion(text)
            ),
            None => String::new(),
        };
        Some(format!(
            "took over {ROOT}/{}: {length} byte{plural}, read as the little-endian number {visits}; {kept}{text}",
            record::FILE
        ))
    }
}

impl<P: Platform> Volume<P> {
    /// Reads `visits.bin` as input, which is the count if the private directory is missing.
    pub(super) async fn original(&self) -> CountResult<Original> {
        let root = self.root()?;
        match root.read(record::FILE, record::MAX_LENGTH + 1).await {
            Ok(bytes) => Original::read(Some(bytes)),
            Err(e) if e.kind == FsErrorKind::NotFound => Original::read(None),
            Err(e) => {
                let what = format!("cannot read {}", record::FILE);
                Err(CountError::refused(&what, e))
            }
        }
    }

    /// Makes sure that a copy of the original survives a power cut. It is written into `dir`, which is prepared for the start and
    /// nobody else writes to, and moved to its name when it is durable. So a starter that fails or is late takes no copy away
    /// from another.
    pub(super) async fn keep(
        &self,
        root: &P::Dir,
        dir: &P::Dir,
        original: &Original,
    ) -> CountResult<()> {
        let Some(copy) = original.copy_name() else {
            return Ok(());
        };
        if !must_write(root, &copy, original).await? {
            // It may be from a program that did not sync it.
            return self.trust(root.sync_file(&copy).await, &copy);
        }
        let cannot = |e| CountError::refused(&format!("cannot write {copy}"), e);
        let Some(written) = unless_cleared(write(dir, &copy, &original.bytes).await) else {
            return Ok(());
        };
        written.map_err(cannot)?;
        if kept(Rule::SyncCopy) {
            let Some(synced) = unless_cleared(dir.sync_file(&copy).await) else {
                return Ok(());
            };
            self.trust(synced, &copy)?;
        }
        let moved = dir.rename_into(&copy, root, &copy).await;
        unless_cleared(moved).map_or(Ok(()), |moved| moved.map_err(cannot))
    }

    /// Writes into `dir`, which is removed afterwards, everything that a start would add to the volume.
    pub(super) async fn try_space(&self, dir: &P::Dir, original: &Original) -> CountResult<()> {
        let cannot = |e| CountError::refused("cannot start counting", e);
        if original.is_empty() {
            let bytes = record::encode(original.visits);
            write(dir, record::FILE, &bytes).await.map_err(cannot)?;
        }
        if let Some(copy) = original.copy_name()
            && must_write(&self.root()?, &copy, original).await?
        {
            write(dir, &copy, &original.bytes).await.map_err(cannot)?;
        }
        Ok(())
    }
}

/// Returns `None` if a call did not find what was prepared for a start: another starter, which has won, has cleared it.
pub(super) fn unless_cleared<T>(result: FsResult<T>) -> Option<FsResult<T>> {
    let cleared = |e: &FsError| e.kind == FsErrorKind::NotFound;
    (!result.as_ref().is_err_and(cleared)).then_some(result)
}

/// Returns whether the copy is missing or unfinished.
///
/// # Errors
/// Returns an error if the file holds something else.
async fn must_write<D: Directory>(root: &D, copy: &str, original: &Original) -> CountResult<bool> {
    match root.read(copy, record::MAX_LENGTH + 1).await {
        Ok(bytes) if bytes == original.bytes => Ok(false),
        Ok(bytes) if original.bytes.starts_with(&bytes) => Ok(true),
        // The same number, followed by more zeros.
        Ok(bytes) if bytes.starts_with(&original.bytes) && is_count(&bytes, original) => Ok(false),
        Ok(_) => Err(CountError::unavailable(anyhow!(
            "cannot keep {ROOT}/{} in {copy}: that file holds something else; move it away",
            record::FILE
        ))),
        Err(e) if e.kind == FsErrorKind::NotFound => Ok(true),
        Err(e) => Err(CountError::refused(&format!("cannot read {copy}"), e)),
    }
}

fn is_count(bytes: &[u8], original: &Original) -> bool {
    record::decode(bytes) == Ok(original.visits)
}

async fn write<D: Directory>(dir: &D, name: &str, bytes: &[u8]) -> Result<(), FsError> {
    let file = dir.open_file(name, true).await?;
    file.write(bytes).await
}

#[cfg(test)]
mod tests {
    use super::Original;

    fn original(bytes: &[u8]) -> Original {
        Original::read(Some(bytes.to_vec())).unwrap()
    }

    #[test]
    fn a_copy_is_kept_of_bytes_that_this_counter_would_not_write() {
        for (bytes, name) in [
            (&[114][..], Some("visits.bin.taken-over-114")),
            (&[0][..], Some("visits.bin.taken-over-0")),
            (&[9, 0, 0, 0, 0, 0, 0], Some("visits.bin.taken-over-9")),
            (
                &[9, 0, 0, 0, 0, 0, 0, 0, 0],
                Some("visits.bin.taken-over-9"),
            ),
            (&[9, 0, 0, 0, 0, 0, 0, 0], None),
            (&[], None),
        ] {
            assert_eq!(original(bytes).copy_name().as_deref(), name, "{bytes:?}");
        }
    }

    #[test]
    fn the_report_names_bytes_number_and_copy() {
        assert_eq!(
            original(&[114]).report().unwrap(),
            "took over /app/persistent/visits.bin: 1 byte, read as the little-endian number 114; \
             the original is kept in /app/persistent/visits.bin.taken-over-114"
        );
        let ours = original(&9u64.to_le_bytes()).report().unwrap();
        assert!(
            ours.contains("8 bytes") && ours.contains("no copy"),
            "{ours}"
        );
        assert!(original(&[]).report().is_none());
        // Bytes that are a count and text are taken for a count, and the report names both.
        let both = original(b"95\n").report().unwrap();
        assert!(both.contains("number 668985"), "{both}");
        assert!(both.contains("as text it would be \"95\""), "{both}");
    }
}
