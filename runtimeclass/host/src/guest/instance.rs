//! One instance of a WASI 0.3 component, from instantiation to its end. It answers many requests at once.
//!
//! It runs in one `run_concurrent` loop on one thread. Requests come over a channel that outlives the instance, so its
//! successor gets the requests that it has not taken. wasmtime's own `ProxyHandler` starts another instance whenever the
//! first is busy for a moment. Instances that share a volume then contend for it; one instance that commits for all
//! waiting requests is several times faster.

use super::job::{Job, Shared};
use crate::engine;
use crate::send::{Caller, Outbound};
use crate::state::State;
use crate::watch::{Cause, Life, Verdict, Watch};
use futures::stream::{FuturesUnordered, StreamExt};
use std::future::{pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use wasmtime::component::Accessor;
use wasmtime::{AsContextMut, Store, UpdateDeadline, format_err};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::handler::{Prepared, Proxy};

/// How an instance ended.
pub(super) enum End {
    /// It did not start.
    NotStarted(anyhow::Error),
    /// It has answered its request, and another instance follows.
    Finished,
    /// Every request was answered, and no more can come.
    Drained,
    /// It was stopped with its requests.
    Died(Cause, wasmtime::Error),
}

/// Runs one instance to its end. Calls `started` when the instance is ready for requests.
pub(super) async fn run(shared: &Shared, started: impl FnOnce()) -> End {
    let life = Arc::new(Life::new(Duration::ZERO));
    let caller = Caller::default();
    let (mut store, proxy) = match instantiate(shared, &life, &caller).await {
        Ok(instance) => instance,
        Err(error) => return End::NotStarted(error),
    };
    started();
    // One thread has one instance at a time, so nothing else waits for this lock.
    let mut jobs = shared.jobs.lock().await;
    let (max_calls, idle) = (shared.limits.max_connections(), AtomicBool::new(true));
    let watch = &shared.watch;
    let serving = Serving {
        proxy: &proxy,
        watch,
        life: &life,
        caller: &caller,
        max_calls,
        idle: &idle,
    };
    let work = store.run_concurrent(async |accessor| serving.serve(accessor, &mut jobs).await);
    let mut work = pin!(work);
    let work = noting_idleness(work.as_mut(), &idle);
    match until_death(work, watch, &life)
        .await
        .and_then(|result| result)
    {
        Ok(()) => End::Drained,
        Err(error) => End::Died(life.end(Cause::Failed), error),
    }
    // The store is dropped here, after the end is noted.
}

/// Runs `work` until it ends, or the watch ends the instance.
pub(super) async fn until_death<T>(
    work: impl Future<Output = wasmtime::Result<T>>,
    watch: &Watch,
    life: &Arc<Life>,
) -> wasmtime::Result<T> {
    tokio::select! {
        biased;
        result = work => result,
        // Outside of the event loop, because that stands still while the component is in a blocking call. The end is
        // noted before the requests are dropped, because it decides their responses.
        cause = watch.end(life, engine::tick(watch.limit())) => Err(stopped(life.end(cause))),
    }
}

/// Runs the event loop, and sets `idle` whenever the loop can only wait.
async fn noting_idleness<F: Future>(mut work: Pin<&mut F>, idle: &AtomicBool) -> F::Output {
    poll_fn(|cx| {
        let poll = work.as_mut().poll(cx);
        // Polls again if the loop was busy before, because a request may be waiting.
        if poll.is_pending() && !idle.swap(true, Relaxed) {
            return work.as_mut().poll(cx);
        }
        poll
    })
    .await
}

/// Makes an instance whose calls to the host `caller` attributes to requests.
pub(super) async fn instantiate(
    shared: &Shared,
    life: &Arc<Life>,
    caller: &Caller,
) -> anyhow::Result<(Store<State>, Proxy)> {
    let component = &shared.component;
    let outbound = Outbound::new(&component.grants, shared.watch.limit(), caller.clone());
    let state = State::new(&component.grants, &shared.budget, outbound)?;
    let mut store = Store::new(&component.engine, state);
    store.limiter(|state| &mut state.memory);
    if !component.grants.outbound.is_empty() {
        store.task_group_hook(caller.clone());
    }
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback({
        let (watch, life) = (shared.watch.clone(), life.clone());
        move |_| match watch.judge(&life, Instant::now()) {
            Verdict::Lives | Verdict::Retires => Ok(UpdateDeadline::Continue(1)),
            Verdict::Ends(cause) => Err(stopped(life.end(cause))),
        }
    });
    // Instantiation runs the component's code too, and has the time of one request.
    let _ticket = shared.watch.register();
    let service = component.service.instantiate_async(&mut store).await;
    let service = service.map_err(|error| {
        let hint = match error.root_cause().to_string().contains("Cannot allocate memory") {
            true => " (is the limit of address space too low? raise `ulimit -v`, or lower --memory-limit)",
            false => "",
        };
        anyhow::anyhow!("the component does not start: {error:#}{hint}")
    })?;
    Ok((store, service))
}

fn stopped(cause: Cause) -> wasmtime::Error {
    match cause {
        Cause::Overdue => {
            format_err!("it did not react to the end of a request's time (--request-timeout)")
        }
        Cause::Abandoned => format_err!("the time to drain was over (--drain-timeout)"),
        Cause::Failed => format_err!("the component failed"),
    }
}

/// The event loop of an instance.
struct Serving<'a> {
    proxy: &'a Proxy,
    watch: &'a Arc<Watch>,
    life: &'a Arc<Life>,
    caller: &'a Caller,
    /// Requests at once.
    max_calls: usize,
    idle: &'a AtomicBool,
}

impl Serving<'_> {
    /// Takes requests while more can come. Ends when all are answered and the component's work after its answers is done.
    /// It does not wait for overdue requests, because their clients have got a response.
    ///
    /// A request is taken only when the event loop is `idle`. The loop runs ready work in the order it came. If requests
    /// were taken as fast as they come, the work that is left of answered requests, and file calls that have ended, would
    /// fall further and further behind.
    async fn serve(
        &self,
        accessor: &Accessor<State>,
        jobs: &mut mpsc::Receiver<Job>,
    ) -> wasmtime::Result<()> {
        let Proxy::P3(service) = self.proxy else {
            return Err(format_err!("not a WASI 0.3 component"));
        };
        let handle = *service.wasi_http_handler().func_handle().func();
        let mut calls = FuturesUnordered::new();
        let mut more_to_come = true;
        poll_fn(|cx| {
            self.life.moves(cx);
            while let Poll::Ready(Some(finished)) = calls.poll_next_unpin(cx) {
                if let Err(error) = finished {
                    return Poll::Ready(Err(error));
                }
            }
            let room = more_to_come
                && calls.len() < self.max_calls
                && self.idle.load(Relaxed)
                && !self.life.is_retiring();
            if room
                && accessor
                    .poll_ready_for_concurrent_call(handle, cx)
                    .is_ready()
            {
                match jobs.poll_recv(cx) {
                    Poll::Ready(Some(job)) => {
                        self.idle.store(false, Relaxed);
                        calls.extend(self.call(accessor, job));
                        // So that the new call is polled.
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    Poll::Ready(None) => more_to_come = false,
                    Poll::Pending => {}
                }
            }
            if more_to_come {
                return Poll::Pending;
            }
            if calls.is_empty() {
                return accessor.poll_no_interesting_tasks(cx).map(Ok);
            }
            match calls.len() == self.watch.overdue(self.life, Instant::now()) {
                true => Poll::Ready(Ok(())),
                false => Poll::Pending,
            }
        })
        .await
    }

    /// Starts one call. Returns `None` if the client has left already.
    fn call<'a>(
        &'a self,
        accessor: &'a Accessor<State>,
        job: Job,
    ) -> Option<impl Future<Output = wasmtime::Result<()>> + 'a> {
        let Job {
            request,
            reply,
            watched,
        } = job;
        if reply.is_canceled() {
            return None;
        }
        watched.progress().taken_by(self.life);
        self.caller.next(watched.progress());
        let prepared = accessor.with(|mut store| {
            Prepared::new(
                store.as_context_mut(),
                self.proxy,
                request,
                State::http,
                reply,
            )
        });
        Some(async move {
            prepared?.run(accessor, pending()).await?;
            self.life.answers_at(Instant::now());
            // The request is watched until the head of its response is made, which is here.
            drop(watched);
            Ok(())
        })
    }
}
