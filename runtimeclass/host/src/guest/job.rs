//! A request on its way to an instance, and the queue of those that no instance has taken.

use crate::watch::Watched;
use futures::channel::oneshot;
use std::sync::Arc;
use tokio::sync::{Mutex, MutexGuard, mpsc};
use wasmtime::format_err;
use wasmtime_wasi_http::handler::{Request, Response};

/// A request on its way to an instance.
pub(super) struct Job {
    pub(super) request: Request,
    /// Dropped unanswered when the instance that took the job dies.
    pub(super) reply: oneshot::Sender<wasmtime::Result<Response>>,
    pub(super) watched: Watched,
}

impl Job {
    /// Answers that no instance starts. The log has the reason: see [`report_not_started`].
    pub(super) fn refuse(self) {
        let refused = format_err!("the component does not start; see the log");
        let _ = self.reply.send(Err(refused));
    }
}

/// The requests that no instance has taken yet. Locked by the instance that waits for one.
#[derive(Clone)]
pub(super) struct Jobs(Arc<Mutex<mpsc::Receiver<Job>>>);

impl Jobs {
    pub(super) fn new(jobs: mpsc::Receiver<Job>) -> Self {
        Self(Arc::new(Mutex::new(jobs)))
    }

    pub(super) async fn lock(&self) -> MutexGuard<'_, mpsc::Receiver<Job>> {
        self.0.lock().await
    }

    /// Waits for the next request, on a thread without a runtime. Returns `None` if no more can come.
    pub(super) fn blocking_next(&self) -> Option<Job> {
        self.0.blocking_lock().blocking_recv()
    }

    /// Waits for the next request whose client has not left. Returns `None` if no more can come.
    pub(super) async fn next(&self) -> Option<Job> {
        loop {
            let job = self.lock().await.recv().await?;
            if !job.reply.is_canceled() {
                return Some(job);
            }
        }
    }
}

/// Logs why no new instance has started.
pub(super) fn report_not_started(error: &anyhow::Error) {
    tracing::error!(error = %format!("{error:#}"), "no new instance of the component; the next request tries again");
}
