//! Waiting for what nothing announces.

use anyhow::{Result, bail};
use std::time::{Duration, Instant};

/// Asks until there is a value, and for it no longer than `deadline`; `what` says what was waited for.
pub(crate) async fn until<T>(
    what: &str,
    deadline: Duration,
    mut ask: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let end = Instant::now() + deadline;
    loop {
        if let Some(value) = ask().await? {
            return Ok(value);
        }
        if Instant::now() > end {
            bail!("not within {deadline:?}: {what}");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
