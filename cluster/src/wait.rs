//! Waiting for what nothing announces.

use anyhow::{Result, bail};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// Asks until there is a value, and for it no longer than `deadline`; `what` says what was waited for. An error of `ask`
/// is one of a thing that may come yet: the last one is told when the deadline passes.
pub(crate) fn until<T>(
    what: &str,
    deadline: Duration,
    mut ask: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let end = Instant::now() + deadline;
    loop {
        let answer = ask();
        if let Ok(Some(value)) = answer {
            return Ok(value);
        }
        if Instant::now() > end {
            match answer {
                Err(error) => bail!("not within {deadline:?}: {what}; the last error: {error:#}"),
                _ => bail!("not within {deadline:?}: {what}"),
            }
        }
        sleep(PAUSE);
    }
}
