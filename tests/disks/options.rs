//! What `cargo xtask disks` sets. Without it, the tests are short.

use anyhow::{Context, Result};
use std::str::FromStr;
use std::time::Duration;
use visits_tests::environment::{self, Variable};

/// Longer than the counter waits for a volume: 10 seconds.
const HANG: u64 = 12;

/// Returns the number of power cuts on each file system, and of volumes of each kind that find themselves damaged.
pub(crate) fn cuts() -> Result<u64> {
    Ok(number(environment::DISK_CUTS)?.unwrap_or(1))
}

/// Returns the seed of the moments of power cuts.
pub(crate) fn seed() -> Result<u64> {
    Ok(number(environment::DISK_SEED)?.unwrap_or_else(|| fastrand::u64(..1_000_000)))
}

/// Returns how long a disk hangs.
pub(crate) fn hang() -> Result<Duration> {
    let seconds = number(environment::DISK_HANG)?.unwrap_or(HANG);
    Ok(Duration::from_secs(seconds))
}

fn number<N: FromStr>(variable: Variable) -> Result<Option<N>>
where
    N::Err: std::error::Error + Send + Sync + 'static,
{
    let Some(value) = variable.get() else {
        return Ok(None);
    };
    let text = value.to_string_lossy();
    let parsed = text
        .parse()
        .with_context(|| format!("{}={text}: not a number", variable.name()))?;
    Ok(Some(parsed))
}
