//! What the protocol asks of the world besides a directory: waiting, time, chance, a task of its own, a log.
//!
//! WASI 0.3 has no way to wake one component task from another but through a stream, so even "wait until the
//! leader is done" is the platform's: see [`Platform::gate`].

use super::directory::Directory;
use std::future::Future;
use std::time::Duration;

/// The world that a [`super::Counter`] runs in. One is made per instance.
pub trait Platform: 'static {
    /// The kind of directory that is counted in.
    type Dir: Directory;
    /// The end of a gate that opens it, by being dropped.
    type Opener: 'static;
    /// The end of a gate that waits: ready once the [`Platform::Opener`] is dropped.
    type Gate: Future<Output = ()> + 'static;

    /// The directory to count in, preopened by the host.
    ///
    /// # Errors
    /// A line for the visitor and the operator, if the host preopened no such directory.
    fn root(&self) -> Result<Self::Dir, String>;

    /// A new gate, closed.
    fn gate(&self) -> (Self::Opener, Self::Gate);

    /// Runs `task` beside the caller. It ends with the caller's own request at the earliest, or when the caller's
    /// request is cancelled: a task that must leave a mark either way does so when it is dropped.
    fn spawn(&self, task: impl Future<Output = ()> + 'static);

    /// Waits.
    fn pause(&self, duration: Duration) -> impl Future<Output = ()>;

    /// A monotonic clock, from any origin.
    fn now(&self) -> Duration;

    /// An unpredictable number: names and jitter are made of it.
    fn random(&self) -> u64;

    /// Writes one line for the operator.
    fn log(&self, line: &str);
}

/// A pause of a random length that grows with `attempt`, from up to 1 ms to up to 32 ms: callers that lost the
/// same race do not meet again at once.
pub(super) async fn jitter<P: Platform>(platform: &P, attempt: u32) {
    let longest = 1_000u64 << attempt.min(5);
    platform
        .pause(Duration::from_micros(platform.random() % longest))
        .await;
}
