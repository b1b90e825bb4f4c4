//! Waiting for something that sends no notification, without blocking other tasks.

use anyhow::Result;
use std::time::Duration;
use visits_support::wait::Deadline;

/// Waits until `attempt` returns a value. The first error of `attempt` ends the wait.
///
/// # Errors
///
/// Fails with the error of `attempt`, or when `limit` has passed; `what` then names what was waited for.
pub async fn until<T>(
    what: &str,
    limit: Duration,
    attempt: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    until_every(Duration::from_millis(10), what, limit, attempt).await
}

/// Waits as [`until`] does, with another pause between two attempts, because each is expensive.
///
/// # Errors
///
/// As those of [`until`].
pub async fn until_every<T>(
    pause: Duration,
    what: &str,
    limit: Duration,
    mut attempt: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Deadline::new(what, limit);
    loop {
        if let Some(value) = attempt().await? {
            return Ok(value);
        }
        deadline.check()?;
        tokio::time::sleep(pause).await;
    }
}
