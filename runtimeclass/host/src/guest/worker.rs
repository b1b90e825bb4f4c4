//! The workers that run instances of a component, one instance after the other each.
//!
//! A component of WASI 0.3 has one worker with one instance, which answers all requests at once ([`super::concurrent`]). It
//! is a task of the server's runtime.
//!
//! A component of WASI 0.2 has [`THREADS`] workers, because each of its instances answers one request
//! ([`super::single`]), and stands still while it waits. Each worker is a thread, and every instance has a tokio runtime of
//! its own, with threads of its own for file calls. When the instance ends, its store is dropped first, then the runtime.
//! That waits until the file calls that have started are done, for the reason that [`super::files`] gives.

use super::concurrent;
use super::instance::End;
use super::job::{Job, Jobs, report_not_started};
use super::shared::Shared;
use super::single;
use crate::component::Component;
use crate::engine::{Ticker, tick};
use crate::limits::{FILE_THREADS, Limits};
use crate::memory::Budget;
use crate::watch::{Cause, Watch};
use anyhow::{Context, Result};
use futures::channel::oneshot;
use std::iter;
use std::sync::Arc;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use wasmtime::WasmBacktrace;
use wasmtime_wasi_http::handler::ProxyPre;

/// Threads of a component of WASI 0.2, and so the requests that it answers at once.
const THREADS: usize = 8;

/// Resolves when the component's workers have ended.
pub(crate) type Ended = oneshot::Receiver<()>;

/// Starts the workers. Fails if the first instance does not start.
pub(super) async fn start(
    component: Arc<Component>,
    limits: &Limits,
    budget: Arc<Budget>,
    watch: &Arc<Watch>,
    jobs: mpsc::Receiver<Job>,
) -> Result<Ended> {
    let running = Arc::default();
    let every = tick(limits.request_timeout);
    let ticker = Ticker::start(&component.engine, every, Arc::clone(&running));
    let ticker = ticker.context("cannot start the thread for time limits")?;
    let shared = Shared {
        component,
        limits: limits.clone(),
        budget,
        watch: watch.clone(),
        running,
        jobs: Jobs::new(jobs),
        spare: Arc::default(),
        waits_for_memory: Arc::default(),
    };
    let (end, ended) = oneshot::channel::<()>();
    // Dropped by the last worker that ends.
    let held = Arc::new((ticker, end));
    let (started, has_started) = oneshot::channel();
    let first = Worker {
        shared,
        started: Some(started),
    };
    match first.shared.component.service {
        ProxyPre::P3(_) => drop(tokio::spawn(async move {
            first.run_concurrent().await;
            drop(held);
        })),
        ProxyPre::P2(_) => {
            let another = || Worker {
                shared: first.shared.clone(),
                started: None,
            };
            let others: Vec<_> = iter::repeat_with(another).take(THREADS - 1).collect();
            for worker in iter::once(first).chain(others) {
                let held = held.clone();
                std::thread::Builder::new()
                    .name("guest".into())
                    .spawn(move || {
                        worker.run_single();
                        drop(held);
                    })
                    .context("cannot start the component's thread")?;
            }
        }
    }
    has_started
        .await
        .context("the component's first instance ended at once")??;
    Ok(ended)
}

/// One of the workers.
struct Worker {
    shared: Shared,
    /// In the first worker until its first instance has started, which happens before any request comes.
    started: Option<Started>,
}

/// Reports whether the first instance has started.
type Started = oneshot::Sender<Result<()>>;

/// What a worker does after the end of an instance.
enum Next {
    Instance,
    /// The next request tries to start an instance.
    Attempt(anyhow::Error),
    Nothing,
}

impl Worker {
    /// Runs instances of WASI 0.3 until no more requests can come.
    async fn run_concurrent(mut self) {
        // A request for which an instance is to start, because none has started without one.
        let mut waiting = None;
        loop {
            let started = &mut self.started;
            let end = concurrent::run(&self.shared, &mut waiting, || report_started(started)).await;
            match self.after(end) {
                Next::Instance => {}
                Next::Attempt(error) => {
                    report_not_started(&error);
                    if let Some(job) = waiting.take() {
                        job.refuse();
                    }
                    waiting = self.shared.jobs.next().await;
                    if waiting.is_none() {
                        return;
                    }
                }
                Next::Nothing => return,
            }
        }
    }

    /// Runs instances of WASI 0.2 until no more requests can come.
    fn run_single(mut self) {
        // One of the component's threads has an instance before a request comes, if that starts.
        let is_first = self.started.is_some();
        let mut warm = is_first;
        loop {
            let end = self.one_single(warm);
            match self.after(end) {
                Next::Instance => warm = is_first,
                Next::Attempt(error) => {
                    report_not_started(&error);
                    if !warm {
                        // Not even a runtime has started, so no request was taken.
                        let job = self.shared.jobs.blocking_next();
                        let Some(job) = job else { return };
                        job.refuse();
                    }
                    warm = false;
                }
                Next::Nothing => return,
            }
        }
    }

    fn one_single(&mut self, warm: bool) -> End {
        let runtime = match runtime() {
            Ok(runtime) => runtime,
            Err(error) => return End::NotStarted(error),
        };
        let initial = self.started.is_some();
        let started = &mut self.started;
        let end = match warm {
            true => runtime.block_on(single::run_warm(&self.shared, initial, || {
                report_started(started)
            })),
            false => runtime.block_on(single::run(&self.shared)),
        };
        // Waits for the file calls that have started.
        drop(runtime);
        end
    }

    fn after(&mut self, end: End) -> Next {
        match end {
            End::Finished => Next::Instance,
            End::Drained | End::Died(Cause::Abandoned, _) => Next::Nothing,
            End::Died(_, error) => {
                report_death(&error);
                Next::Instance
            }
            End::NotStarted(error) => match self.started.take() {
                Some(started) => {
                    let _ = started.send(Err(error));
                    Next::Nothing
                }
                None => Next::Attempt(error),
            },
        }
    }
}

fn report_started(started: &mut Option<Started>) {
    if let Some(started) = started.take() {
        let _ = started.send(Ok(()));
    }
}

fn runtime() -> Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        .thread_name("file")
        .max_blocking_threads(FILE_THREADS)
        .build()
        .context("cannot start a runtime for the component")
}

/// Logs the cause, and the component's calls at that moment.
fn report_death(error: &wasmtime::Error) {
    tracing::error!(
        error = error.root_cause().to_string(),
        place = calls(error),
        "the component was stopped with its requests; a new instance takes over"
    );
}

/// Returns the component's calls on one line, the innermost first: offsets in its code, with names if the component has
/// them. wasmtime itself prints a line for each call.
fn calls(error: &wasmtime::Error) -> Option<String> {
    let backtrace = error.downcast_ref::<WasmBacktrace>()?;
    let frames = backtrace.frames().iter().map(|frame| {
        let offset = frame.module_offset().unwrap_or_default();
        match frame.func_name() {
            Some(name) => format!("{name}+{offset:#x}"),
            None => format!("{offset:#x}"),
        }
    });
    Some(frames.collect::<Vec<_>>().join(" < "))
}
