//! The counter on the real host: every visit exactly once, whatever runs at once and whatever crashes.
//!
//! - [`load`]: clients that visit, and what they were told
//! - `exact`: many clients, several hosts, many first starters
//! - `kills`: kill -9 under load
//! - `requests`: each request and its answer
//! - `volumes`: taking over, mending, and refusing volumes
//! - `mounts`: volumes that need root: full, read-only

mod exact;
mod kills;
mod load;
mod mounts;
mod requests;
mod volumes;

use anyhow::{Context, Result};
use std::path::Path;
use visits_tests::{App, artifacts};

/// An application that counts in an empty volume.
fn counter() -> Result<App> {
    App::new(&artifacts::visits_wasm()?)
}

/// The number in `visits.bin`, as an operator reads it.
fn visits_bin(volume: &Path) -> Result<u64> {
    let path = volume.join("visits.bin");
    let bytes = std::fs::read(&path).with_context(|| format!("read {}", path.display()))?;
    let bytes: [u8; 8] = bytes[..]
        .try_into()
        .with_context(|| format!("{} has {} bytes", path.display(), bytes.len()))?;
    Ok(u64::from_le_bytes(bytes))
}

/// Asserts that these are the numbers `first..=last`, each once.
#[track_caller]
fn assert_exactly(mut numbers: Vec<u64>, first: u64, last: u64) {
    numbers.sort_unstable();
    let expected = last + 1 - first;
    let doubles = numbers.windows(2).filter(|pair| pair[0] == pair[1]).count();
    assert_eq!(
        (
            numbers.len() as u64,
            doubles,
            numbers.first(),
            numbers.last()
        ),
        (expected, 0, Some(&first), Some(&last)),
        "(how many, doubles, first, last)"
    );
}
