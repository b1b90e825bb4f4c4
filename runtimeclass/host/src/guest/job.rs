//! A request on its way to an instance, and what the threads that take requests share.

use crate::component::Component;
use crate::limits::Limits;
use crate::memory::Budget;
use crate::watch::{Watch, Watched};
use futures::channel::oneshot;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio::sync::{Mutex, mpsc};
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

/// What the threads of one component share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) component: Arc<Component>,
    pub(super) limits: Limits,
    pub(super) budget: Arc<Budget>,
    pub(super) watch: Arc<Watch>,
    /// Whether an instance of WASI 0.3 has its turn on the server's thread.
    pub(super) running: Arc<AtomicBool>,
    /// Locked by the instance that waits for a request.
    pub(super) jobs: Arc<Mutex<mpsc::Receiver<Job>>>,
}

/// Logs why no new instance has started.
pub(super) fn report_not_started(error: &anyhow::Error) {
    tracing::error!(error = %format!("{error:#}"), "no new instance of the component; the next request tries again");
}
