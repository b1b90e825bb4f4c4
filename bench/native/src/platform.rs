//! Waiting, time, chance, tasks and the log of the counter's protocol, on tokio.

use crate::directory::NativeDirectory;
use std::convert::Infallible;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::oneshot::{self, Receiver, Sender};
use tokio::task::spawn_local;
// Not std's, so that a clock that the fuzzer's runtime holds still stands still here, too.
use tokio::time::Instant;
use visits::protocol::platform::Platform;

/// The world of a native counter.
pub(crate) struct Native {
    directory: PathBuf,
    start: Instant,
}

impl Native {
    /// Returns the world whose volume is `directory`.
    pub(crate) fn new(directory: &Path) -> Self {
        Native {
            directory: directory.to_owned(),
            start: Instant::now(),
        }
    }
}

/// The waiting end of a gate. Nothing is ever sent.
pub(crate) struct Gate(Receiver<Infallible>);

impl Future for Gate {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(context).map(drop)
    }
}

impl Platform for Native {
    type Dir = NativeDirectory;
    type Opener = Sender<Infallible>;
    type Gate = Gate;

    fn root(&self) -> Result<NativeDirectory, String> {
        NativeDirectory::open(&self.directory)
            .map_err(|error| format!("cannot open {}: {error}", self.directory.display()))
    }

    fn gate(&self) -> (Self::Opener, Gate) {
        let (opener, end) = oneshot::channel();
        (opener, Gate(end))
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        spawn_local(task);
    }

    async fn pause(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn random(&self) -> u64 {
        // std's keys differ for each call, and their origin is random.
        RandomState::new().hash_one(())
    }

    fn log(&self, line: &str) {
        eprintln!("{line}");
    }
}
