//! Measures how long the disk takes for the part of every commit that waits for it: a durable rename in a directory of
//! one entry.

use anyhow::{Context, Result};
use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant};

/// The number of measured syncs.
pub(crate) const SYNCS: u32 = 400;

/// Returns the median time of a rename and a sync of its directory, in a new directory in `parent`.
pub(crate) fn sync_time(parent: &Path) -> Result<Duration> {
    let directory = parent.join("sync-time");
    fs::create_dir(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
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
