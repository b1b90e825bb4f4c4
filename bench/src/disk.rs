//! Measures how long the disk takes for the part of every commit that waits for it: a durable rename in a directory of
//! one entry.

use crate::statistics::percentile;
use anyhow::{Context, Result};
use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Durable renames, one at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Syncs {
    /// How many there were in a second.
    pub(crate) rate: f64,
    /// Milliseconds that half of them took at most.
    pub(crate) p50: f64,
    /// Milliseconds that 99 % of them took at most.
    pub(crate) p99: f64,
}

/// Renames an entry and syncs its directory again and again for this time, in a new directory in `parent`.
pub(crate) fn syncs(parent: &Path, length: Duration) -> Result<Syncs> {
    let directory = TempDir::new_in(parent)
        .with_context(|| format!("cannot create a directory in {}", parent.display()))?;
    let entry = |n: usize| directory.path().join(format!("entry.{n}"));
    File::create(entry(0))?;
    let mut times = Vec::new();
    let start = Instant::now();
    while start.elapsed() < length || times.is_empty() {
        let (n, before) = (times.len(), Instant::now());
        fs::rename(entry(n), entry(n + 1))?;
        File::open(directory.path())?.sync_all()?;
        times.push(before.elapsed().as_secs_f64() * 1e3);
    }
    let rate = times.len() as f64 / start.elapsed().as_secs_f64();
    Ok(Syncs {
        rate,
        p50: percentile(&mut times, 50.0),
        p99: percentile(&mut times, 99.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_least_one_sync_is_measured_and_nothing_is_left() {
        let directory = tempfile::tempdir().expect("a directory");
        let syncs = syncs(directory.path(), Duration::ZERO).expect("the disk syncs");
        assert!(syncs.rate > 0.0 && syncs.p50 > 0.0, "{syncs:?}");
        let left = fs::read_dir(directory.path()).expect("it is there").count();
        assert_eq!(left, 0);
    }
}
