//! The threads that run instances of a component, one instance after the other on each.
//!
//! A component of WASI 0.3 has one thread with one instance, which answers all requests at once ([`crate::instance`]).
//! One of WASI 0.2 has [`WORKERS`], for an instance of it answers one request in its life ([`crate::single`]).
//!
//! Every instance gets a tokio runtime of its own, with its own threads for file calls. When the instance ends its
//! store is dropped first and then the runtime, which waits until the file calls it has started are done. So no late
//! write of an instance lands after its successor on the thread has started. The price: while a file call hangs there
//! is no successor, and requests are answered 503 when their time is over.

use crate::app::Component;
use crate::engine::{Ticker, tick};
use crate::instance::{self, End, Job};
use crate::memory::Budget;
use crate::settings::Limits;
use crate::single;
use crate::watch::{Death, Watch};
use anyhow::{Context, Result};
use futures::channel::oneshot;
use std::sync::Arc;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Mutex, mpsc};
use wasmtime::WasmBacktrace;
use wasmtime_wasi_http::handler::ProxyPre;

/// Threads for file calls of one instance. More calls than this at once wait for each other.
pub(crate) const FILE_THREADS: usize = 64;

/// Requests at once to a component of WASI 0.2.
const WORKERS: usize = 8;

/// Resolves when the component's threads have ended.
pub(crate) type Ended = oneshot::Receiver<()>;

/// What a component's threads share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) component: Arc<Component>,
    pub(crate) limits: Limits,
    pub(crate) budget: Arc<Budget>,
    pub(crate) watch: Arc<Watch>,
    /// Locked by the thread that waits for a request.
    pub(crate) jobs: Arc<Mutex<mpsc::Receiver<Job>>>,
}

/// Starts the threads; an error when the first instance does not start.
pub(super) async fn start(
    component: Arc<Component>,
    limits: &Limits,
    budget: Arc<Budget>,
    watch: &Arc<Watch>,
    jobs: mpsc::Receiver<Job>,
) -> Result<Ended> {
    let ticker = Ticker::start(&component.engine, tick(limits.request_timeout));
    let ticker = Arc::new(ticker.context("start the thread for time limits")?);
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
            .context("start the component's thread")?;
    }
    has_started
        .await
        .context("the component's thread ended")??;
    Ok(ended)
}

/// One thread.
struct Worker {
    shared: Shared,
    /// Of the first thread, until its first instance has started: that one is started before any request comes.
    started: Option<oneshot::Sender<Result<()>>>,
}

impl Worker {
    /// Runs one instance after the other, until no request can come any more.
    fn run(mut self) {
        // Of the threads of a component, one has an instance before a request comes.
        let warm = self.started.is_some();
        loop {
            match self.one_instance(warm) {
                End::Finished => {}
                End::Drained | End::Died(Death::Abandoned, _) => return,
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
        // Waits for the file calls that have started: see above.
        drop(runtime);
        end
    }

    /// Answers the next request with an error; `None` if there will be none.
    fn refuse_one(&self, error: &anyhow::Error) -> Option<()> {
        instance::report_not_started(error);
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
        .context("start a runtime for the component")
}

/// The cause first, for it is what an operator looks for; where in the component it happened beside it.
fn report_death(error: &wasmtime::Error) {
    tracing::error!(
        error = error.root_cause().to_string(),
        place = place(error),
        "the component was stopped with its requests; a new instance takes over"
    );
}

/// The component's calls on one line, the innermost first: offsets in its code, and names where it has them.
/// wasmtime's own way to show them takes a line each.
fn place(error: &wasmtime::Error) -> Option<String> {
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
