//! The component as the server sees it: always one warm instance, replaced when it dies.
//!
//! Every instance gets a tokio runtime of its own, with its own threads for file calls. When the instance dies its
//! store is dropped first and then the runtime, which waits until the file calls it has started are done. So no late
//! write of a dead instance lands after its successor has read the file. The price: while a file call hangs there
//! is no instance, and requests are answered 503 when their time is over.

use crate::answer::{Answer, Body};
use crate::app::Component;
use crate::body::{RequestBody, ResponseBody};
use crate::engine::{Ticker, tick};
use crate::instance::{self, End, Job};
use crate::settings::Limits;
use crate::watch::{Death, Progress, Watch};
use anyhow::{Context, Result};
use futures::channel::oneshot;
use http::StatusCode;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body as _, Incoming};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use wasmtime::WasmBacktrace;
use wasmtime_wasi_http::WasiBody;
use wasmtime_wasi_http::handler::Response;

/// How much longer than the time limit a request waits before it is answered without the component: the instance
/// is stopped first, at the first look after the limit.
const GRACE: Duration = Duration::from_secs(1);

/// Threads for file calls of one instance. More calls than this at once wait for each other.
pub(crate) const FILE_THREADS: usize = 64;

/// Sends requests to the component. When every clone is gone the component finishes and ends.
#[derive(Clone)]
pub(crate) struct Guest {
    jobs: mpsc::Sender<Job>,
    watch: Arc<Watch>,
    body_limit: Duration,
}

/// Resolves when the component's thread has ended.
pub(crate) type Ended = oneshot::Receiver<()>;

impl Guest {
    /// Starts the component's thread and its first instance; an error when that does not start.
    pub(crate) async fn start(component: Arc<Component>, limits: &Limits) -> Result<(Self, Ended)> {
        let (jobs, received) = mpsc::channel(limits.connections);
        let watch = Arc::new(Watch::new(limits.request_timeout));
        let (started, has_started) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let supervisor = Supervisor {
            component,
            limits: limits.clone(),
            watch: watch.clone(),
            jobs: received,
        };
        std::thread::Builder::new()
            .name("guest".into())
            .spawn(move || {
                supervisor.run(started);
                let _ = end.send(());
            })
            .context("start the component's thread")?;
        has_started
            .await
            .context("the component's thread ended")??;
        Ok((
            Self {
                jobs,
                watch,
                body_limit: limits.body_timeout,
            },
            ended,
        ))
    }

    /// Stops the component with whatever it still does.
    pub(crate) fn abandon(&self) -> impl FnOnce() + use<> {
        let watch = self.watch.clone();
        move || watch.abandon()
    }

    /// Has the component answer a request, or says why it did not.
    pub(crate) async fn call(&self, head: http::request::Parts, body: Option<Incoming>) -> Answer {
        let ticket = self.watch.register();
        let progress = ticket.progress().clone();
        let request = http::Request::from_parts(head, self.request_body(body, &progress));
        let (reply, replied) = oneshot::channel();
        if self
            .jobs
            .try_send(Job {
                request,
                reply,
                ticket,
            })
            .is_err()
        {
            return refuse(
                StatusCode::SERVICE_UNAVAILABLE,
                "too many requests wait for the component",
            );
        }
        match self.wait(replied, &progress).await {
            Some(Ok(Ok(response))) => answer(response, &progress).await,
            Some(Ok(Err(error))) if progress.instance().is_none() => {
                refuse(StatusCode::SERVICE_UNAVAILABLE, &format!("{error:#}"))
            }
            Some(Ok(Err(error))) => {
                tracing::warn!(error = %format!("{error:#}"), "the component answered a request with an error");
                lost(&progress)
            }
            Some(Err(oneshot::Canceled)) => lost(&progress),
            None if progress.instance().is_some() => overdue(),
            None => refuse(
                StatusCode::SERVICE_UNAVAILABLE,
                "no instance of the component is free; see the log",
            ),
        }
    }

    fn request_body(&self, body: Option<Incoming>, progress: &Arc<Progress>) -> WasiBody {
        match body.filter(|body| !body.is_end_stream()) {
            Some(body) => RequestBody::new(body, self.body_limit, progress.clone()).boxed_unsync(),
            None => Empty::new().map_err(|never| match never {}).boxed_unsync(),
        }
    }

    /// Waits until the request is answered or, given up by everyone else, is long overdue.
    async fn wait<T>(
        &self,
        mut replied: oneshot::Receiver<T>,
        progress: &Progress,
    ) -> Option<Result<T, oneshot::Canceled>> {
        loop {
            let since = progress.since();
            let deadline = since + self.watch.limit() + GRACE;
            match tokio::time::timeout_at(deadline.into(), &mut replied).await {
                Ok(reply) => return Some(reply),
                Err(_) if progress.since() == since => return None,
                Err(_) => {}
            }
        }
    }
}

async fn answer(response: Response, progress: &Progress) -> Answer {
    let Some(instance) = progress.instance() else {
        return refuse(
            StatusCode::INTERNAL_SERVER_ERROR,
            "an answer to a request that no instance took",
        );
    };
    let (head, body) = response.into_parts();
    let body = ResponseBody::read_ahead(body, instance.clone()).await;
    Answer::from_parts(head, Body::Left(body))
}

/// The answer to a request whose instance died, or that the component refused.
fn lost(progress: &Progress) -> Answer {
    match progress.instance().and_then(|instance| instance.get()) {
        Some(Death::Overdue) => overdue(),
        Some(Death::Abandoned) => refuse(StatusCode::SERVICE_UNAVAILABLE, "the server stops"),
        Some(Death::Failed) | None => refuse(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the component failed; see the log",
        ),
    }
}

fn overdue() -> Answer {
    refuse(
        StatusCode::GATEWAY_TIMEOUT,
        "the component took too long and was stopped; see the log",
    )
}

fn refuse(status: StatusCode, line: &str) -> Answer {
    crate::answer::line(status, line)
}

/// The component's thread.
struct Supervisor {
    component: Arc<Component>,
    limits: Limits,
    watch: Arc<Watch>,
    jobs: mpsc::Receiver<Job>,
}

impl Supervisor {
    /// One instance after the other, until no request can come any more. `started` hears of the first.
    fn run(mut self, started: oneshot::Sender<Result<()>>) {
        let mut started = Some(started);
        let _ticker = match Ticker::start(&self.component.engine, tick(self.limits.request_timeout))
        {
            Ok(ticker) => ticker,
            Err(error) => {
                return report(
                    &mut started,
                    Err(error).context("start the thread for time limits"),
                );
            }
        };
        loop {
            match self.one_instance(&mut started) {
                End::Drained | End::Died(Death::Abandoned, _) => return,
                End::Died(_, error) => report_death(&error),
                End::NotStarted(error) if started.is_some() => {
                    return report(&mut started, Err(error));
                }
                End::NotStarted(error) => {
                    tracing::error!(error = %format!("{error:#}"), "no new instance of the component; the next request tries again");
                    let Some(job) = self.jobs.blocking_recv() else {
                        return;
                    };
                    let _ = job.reply.send(Err(wasmtime::format_err!(
                        "the component does not start; see the log"
                    )));
                }
            }
        }
    }

    fn one_instance(&mut self, started: &mut Option<oneshot::Sender<Result<()>>>) -> End {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .thread_name("file")
            .max_blocking_threads(FILE_THREADS)
            .build();
        let runtime = match runtime.context("start a runtime for the component") {
            Ok(runtime) => runtime,
            Err(error) => return End::NotStarted(error),
        };
        let end = runtime.block_on(instance::run(
            &self.component,
            &self.limits,
            &self.watch,
            &mut self.jobs,
            || report(started, Ok(())),
        ));
        // Waits for the file calls that have started: see above.
        drop(runtime);
        end
    }
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

fn report(started: &mut Option<oneshot::Sender<Result<()>>>, result: Result<()>) {
    if let Some(started) = started.take() {
        let _ = started.send(result);
    }
}
