//! Trying again after a lost race: how long, and with which pauses.

use super::platform::Platform;
use std::time::Duration;

/// A limit on tries. It begins with the first try that fails.
pub(super) struct Limit {
    length: Duration,
    end: Option<Duration>,
}

impl Limit {
    /// Returns a limit that has not begun.
    pub(super) fn new(length: Duration) -> Self {
        Limit { length, end: None }
    }

    /// Returns whether the limit has passed at the time `now`, after a try that failed.
    pub(super) fn has_passed(&mut self, now: Duration) -> bool {
        now > *self.end.get_or_insert(now + self.length)
    }
}

/// Pauses for a random time that grows with `attempt`, from up to 1 ms to up to 32 ms, so that callers that lost the
/// same race do not meet again at once.
pub(super) async fn jitter<P: Platform>(platform: &P, attempt: u32) {
    let longest = 1_000u64 << attempt.min(5);
    platform
        .pause(Duration::from_micros(platform.random() % longest))
        .await;
}
