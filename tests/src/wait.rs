//! Waiting for what nothing announces.

use anyhow::{Result, bail};
use std::time::{Duration, Instant};

/// Asks until there is a value, and for it no longer than `deadline`; `what` says what was waited for.
pub async fn until<T>(
    what: &str,
    deadline: Duration,
    ask: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    until_every(Duration::from_millis(10), what, deadline, ask).await
}

/// The same with another pause between two questions, for those that are not cheap.
pub async fn until_every<T>(
    pause: Duration,
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
        tokio::time::sleep(pause).await;
    }
}
