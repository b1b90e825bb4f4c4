//! What the protocol needs of the world besides a directory: waiting, time, chance, tasks, a log.

use super::directory::Directory;
use std::time::Duration;

/// The path of the volume in the component. The host preopens it there, and messages name it.
pub const ROOT: &str = "/app/persistent";

/// A file of the platform's volume, open for writing.
pub(super) type File<P> = <<P as Platform>::Dir as Directory>::File;

/// The world that a [`super::Counter`] runs in, made once per instance.
pub trait Platform: 'static {
    /// The kind of directory that holds the count.
    type Dir: Directory;
    /// The end of a gate that opens it when it is dropped.
    type Opener: 'static;
    /// The end of a gate that waits for the [`Platform::Opener`] to be dropped.
    type Gate: Future<Output = ()> + 'static;

    /// Returns the directory that the host preopened at [`ROOT`].
    ///
    /// # Errors
    /// Returns a line for the visitor and the operator if the host preopened no such directory.
    fn root(&self) -> Result<Self::Dir, String>;

    /// Returns a new gate, closed. Tasks wait for each other at gates only, because WASI 0.3 wakes one component task
    /// from another through a stream only.
    fn gate(&self) -> (Self::Opener, Self::Gate);

    /// Runs `task` beside the caller. If the host cancels the caller's request, it may drop the task unfinished. So a
    /// task that must leave a mark in any case does so in a destructor.
    fn spawn(&self, task: impl Future<Output = ()> + 'static);

    /// Waits for `duration`.
    fn pause(&self, duration: Duration) -> impl Future<Output = ()>;

    /// Returns the time of a monotonic clock with any origin.
    fn now(&self) -> Duration;

    /// Returns an unpredictable number, for names and jitter.
    fn random(&self) -> u64;

    /// Writes one line for the operator.
    fn log(&self, line: &str);
}
