//! The threads that run instances of a component, one instance after the other on each.
//!
//! A component of WASI 0.3 has one thread with one instance, which answers all requests at once ([`super::instance`]).
//! A component of WASI 0.2 has [`WORKERS`] threads, because each of its instances answers one request
//! ([`super::single`]).
//!
//! Every instance has a tokio runtime of its own, with threads of its own for file calls. When the instance ends, its store
//! is dropped first. Then the runtime is dropped, which waits until the file calls that have started are done. So a late
//! write of an instance never lands after its successor on the thread has started. The price: while a file call hangs,
//! there is no successor, and requests get 503 when their time runs out.

use super::instance::{self, End};
use super::job::{Job, Shared, report_not_started};
use super::single;
use crate::component::Component;
use crate::engine::{Ticker, tick};
use crate::limits::{FILE_THREADS, Limits};
use crate::memory::Budget;
use crate::watch::{Cause, Watch};
use anyhow::{Context, Result};
use futures::channel::oneshot;
use std::sync::Arc;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Mutex, mpsc};
use wasmtime::WasmBacktrace;
use wasmtime_wasi_http::handler::ProxyPre;

/// Threads of a component of WASI 0.2, and so the requests that it answers at once.
const WORKERS: usize = 8;

/// Resolves when the component's threads have ended.
pub(crate) type Ended = oneshot::Receiver<()>;

/// Starts the threads. Fails if the first instance does not start.
pub(super) async fn start(
    component: Arc<Component>,
    limits: &Limits,
    budget: Arc<Budget>,
    watch: &Arc<Watch>,
    jobs: mpsc::Receiver<Job>,
) -> Result<Ended> {
    let ticker = Ticker::start(&component.engine, tick(limits.request_timeout));
    let ticker = Arc::new(ticker.context("cannot start the thread for time limits")?);
    let workers = match component.service {
        ProxyPre::P2(_) => WORKERS,
        ProxyPre::P3(_) => 1,
    };
    let shared = Shared {
        component,
        limits: limits.clone(),
        budget,
        watch: watch.clone(),
        jobs: Arc::new(Mutex::new(jobs)),
    };
    let (end, ended) = oneshot::channel::<()>();
    // Dropped by the last thread that ends.
    let end = Arc::new(end);
    let (started, has_started) = oneshot::channel();
    let mut started = Some(started);
    for _ in 0..workers {
        let (shared, ticker, end) = (shared.clone(), ticker.clone(), end.clone());
        let started = started.take();
        std::thread::Builder::new()
            .name("guest".into())
            .spawn(move || {
                let worker = Worker { shared, started };
                worker.run();
                drop((ticker, end));
            })
            .context("cannot start the component's thread")?;
    }
    has_started
        .await
        .context("the component's thread ended")??;
    Ok(ended)
}

/// One of the threads.
struct Worker {
    shared: Shared,
    /// In the first thread until its first instance has started, which happens before any request comes.
    started: Option<oneshot::Sender<Result<()>>>,
}

impl Worker {
    /// Runs one instance after the other until no more requests can come.
    fn run(mut self) {
        // One of the component's threads has an instance before a request comes.
        let warm = self.started.is_some();
        loop {
            match self.one_instance(warm) {
                End::Finished => {}
                End::Drained | End::Died(Cause::Abandoned, _) => return,
                End::Died(_, error) => report_death(&error),
                End::NotStarted(error) => match self.started.take() {
                    Some(started) => return drop(started.send(Err(error))),
                    None if self.refuse_one(&error).is_none() => return,
                    None => {}
                },
            }
        }
    }

    fn one_instance(&mut self, warm: bool) -> End {
        let runtime = match runtime() {
            Ok(runtime) => runtime,
            Err(error) => return End::NotStarted(error),
        };
        let initial = self.started.is_some();
        let started = &mut self.started;
        let has_started = || {
            if let Some(started) = started.take() {
                let _ = started.send(Ok(()));
            }
        };
        let end = match self.shared.component.service {
            ProxyPre::P2(_) if warm => {
                runtime.block_on(single::run_warm(&self.shared, initial, has_started))
            }
            ProxyPre::P2(_) => runtime.block_on(single::run(&self.shared)),
            ProxyPre::P3(_) => runtime.block_on(instance::run(&self.shared, has_started)),
        };
        // Waits for the file calls that have started.
        drop(runtime);
        end
    }

    /// Answers the next request with an error. Returns `None` if no more requests can come.
    fn refuse_one(&self, error: &anyhow::Error) -> Option<()> {
        report_not_started(error);
        let job = self.shared.jobs.blocking_lock().blocking_recv()?;
        job.refuse();
        Some(())
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
