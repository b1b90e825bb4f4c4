//! Waiting with a deadline for something that sends no notification.
//!
//! There are two meanings of an error while waiting, and each has a function: [`until`] ends at the first error, because
//! the thing can no longer come; [`retry`] goes on, because the error may be the state before the thing comes.
//! Asynchronous callers write their own loop around a [`Deadline`].

use anyhow::{Result, anyhow};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(100);

/// The end of a wait, with the description of what is waited for.
#[derive(Debug)]
pub struct Deadline<'a> {
    what: &'a str,
    limit: Duration,
    end: Instant,
}

impl<'a> Deadline<'a> {
    /// Returns a deadline that passes in `limit` from now.
    pub fn new(what: &'a str, limit: Duration) -> Self {
        let end = Instant::now() + limit;
        Self { what, limit, end }
    }

    /// Returns an error if the deadline has passed.
    ///
    /// # Errors
    ///
    /// The error names what was waited for, and how long.
    pub fn check(&self) -> Result<()> {
        if Instant::now() <= self.end {
            return Ok(());
        }
        Err(anyhow!("not within {:?}: {}", self.limit, self.what))
    }
}

/// Waits until `attempt` returns a value. The first error of `attempt` ends the wait.
///
/// # Errors
///
/// Fails with the error of `attempt`, or when `limit` has passed.
pub fn until<T>(
    what: &str,
    limit: Duration,
    mut attempt: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Deadline::new(what, limit);
    loop {
        if let Some(value) = attempt()? {
            return Ok(value);
        }
        deadline.check()?;
        sleep(PAUSE);
    }
}

/// Waits until `attempt` returns a value. Errors of `attempt` are retried.
///
/// # Errors
///
/// Fails when `limit` has passed, with the error of the last attempt if that failed.
pub fn retry<T>(
    what: &str,
    limit: Duration,
    mut attempt: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let mut last = None;
    let waited = until(what, limit, || {
        let (value, error) = match attempt() {
            Ok(value) => (value, None),
            Err(error) => (None, Some(error)),
        };
        last = error;
        Ok(value)
    });
    waited.map_err(|error| match last {
        Some(last) => anyhow!("{error:#}; the last error: {last:#}"),
        None => error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;

    #[test]
    fn until_ends_at_the_first_error() {
        let mut attempts = 0;
        let ended: Result<()> = until("nothing", Duration::from_secs(60), || {
            attempts += 1;
            bail!("it is gone")
        });
        assert_eq!(ended.expect_err("an error").to_string(), "it is gone");
        assert_eq!(attempts, 1);
    }

    #[test]
    fn retry_goes_on_after_an_error() {
        let mut attempts = 0;
        let value = retry("a value", Duration::from_secs(60), || {
            attempts += 1;
            match attempts {
                1 => bail!("not yet"),
                2 => Ok(None),
                _ => Ok(Some(attempts)),
            }
        });
        assert_eq!(value.expect("the third attempt succeeds"), 3);
    }

    #[test]
    fn at_the_deadline_retry_returns_the_last_error_and_until_has_none() {
        let retried: Result<()> = retry("a value", Duration::ZERO, || bail!("refused"));
        let error = retried.expect_err("the deadline").to_string();
        assert_eq!(error, "not within 0ns: a value; the last error: refused");
        let waited: Result<()> = until("a value", Duration::ZERO, || Ok(None));
        let error = waited.expect_err("the deadline").to_string();
        assert_eq!(error, "not within 0ns: a value");
    }
}
