//! The disk's own time for what every commit waits for: a rename in a directory of one entry, made durable.

use anyhow::{Context, Result};
use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant};

/// How many syncs are timed.
pub(crate) const SYNCS: u32 = 400;

/// The median time of a rename and a sync of its directory, in a new directory below `parent`.
pub(crate) fn sync_time(parent: &Path) -> Result<Duration> {
    let directory = parent.join("sync-time");
    fs::create_dir(&directory).with_context(|| format!("make {}", directory.display()))?;
    File::create(directory.join("entry.0"))?;
    let mut times = Vec::new();
    for n in 0..SYNCS {
        let start = Instant::now();
        let (from, to) = (format!("entry.{n}"), format!("entry.{}", n + 1));
        fs::rename(directory.join(from), directory.join(to))?;
        File::open(&directory)?.sync_all()?;
        times.push(start.elapsed());
    }
    times.sort();
    fs::remove_dir_all(&directory)?;
    Ok(times[times.len() / 2])
}
