//! The simplest durable counter: one lock and, for each visit, a read, a write and an fsync.

use anyhow::{Context, Result};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use visits::protocol::record;

/// The open `visits.bin` behind its lock.
pub(crate) struct Fsync(Arc<Mutex<File>>);

impl Fsync {
    /// Opens `visits.bin` in `directory`. Creates a missing file, and makes its name durable.
    pub(crate) fn open(directory: &Path) -> Result<Self> {
        let path = directory.join(record::FILE);
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        let file = options
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        File::open(directory)
            .and_then(|directory| directory.sync_all())
            .with_context(|| format!("cannot sync {}", directory.display()))?;
        Ok(Fsync(Arc::new(Mutex::new(file))))
    }

    /// Counts a visit durably, and returns its number.
    pub(crate) async fn visit(&self) -> Result<u64> {
        let file = self.0.clone().lock_owned().await;
        // The lock goes with the work, which goes on if the client leaves.
        spawn_blocking(move || add_one(&file)).await?
    }
}

/// Adds one to the number in the file, and returns it after it is durable.
fn add_one(file: &File) -> Result<u64> {
    let mut bytes = [0; record::LENGTH as usize];
    let length = file
        .read_at(&mut bytes, 0)
        .context("cannot read visits.bin")?;
    let number = record::decode(&bytes[..length]).map_err(anyhow::Error::msg)? + 1;
    file.write_all_at(&record::encode(number), 0)
        .context("cannot write visits.bin")?;
    file.sync_all().context("cannot sync visits.bin")?;
    Ok(number)
}
