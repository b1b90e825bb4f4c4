//! The threads for the file calls of one instance.
//!
//! A file call that has started cannot be taken back. When an instance dies, its successor starts only after the calls that
//! have started are done: otherwise a late write of the dead instance could land after a write of its successor. So every
//! instance has threads of its own, and [`Files::finish`] waits for them. The price: while a file call hangs, there is no
//! successor, and requests get 503 when their time runs out.

use crate::limits::FILE_THREADS;
use anyhow::{Context, Result};
use futures::channel::oneshot;
use std::future::poll_fn;
use std::pin::pin;
use tokio::runtime::{Builder, Runtime};

/// A tokio runtime whose blocking threads make the file calls of one instance. Its one worker keeps the timers that the
/// component sets and its outbound connections.
pub(super) struct Files(Option<Runtime>);

impl Files {
    /// Starts the runtime.
    pub(super) fn start() -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(FILE_THREADS)
            .thread_name("file")
            .enable_all()
            .build();
        runtime
            .map(|runtime| Self(Some(runtime)))
            .context("cannot start the threads for file calls")
    }

    /// Runs `work` on the caller's thread. The file calls that it makes run on these threads.
    pub(super) async fn of<F: Future>(&self, work: F) -> F::Output {
        let mut work = pin!(work);
        poll_fn(|cx| {
            let _entered = self.0.as_ref().map(Runtime::enter);
            work.as_mut().poll(cx)
        })
        .await
    }

    /// Waits until the file calls that have started are done.
    ///
    /// # Errors
    /// When the thread that waits cannot be started.
    pub(super) async fn finish(mut self) -> Result<()> {
        let (done, ended) = oneshot::channel::<()>();
        // Dropping a runtime waits for its blocking threads, and must not block this thread.
        let wait = move || {
            drop(self.0.take());
            drop(done);
        };
        let waiting = std::thread::Builder::new().name("file-end".into());
        waiting
            .spawn(wait)
            .context("cannot wait for the file calls of an instance that ended")?;
        let _ = ended.await;
        Ok(())
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // No successor follows that a late write could meet.
            runtime.shutdown_background();
        }
    }
}
