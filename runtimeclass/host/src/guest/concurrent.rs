//! One instance of a WASI 0.3 component, from instantiation to its end. It answers many requests at once.
//!
//! It is a task of the server's runtime, on the same thread as the connections: a request and its response are handed over
//! without waking another thread. Only its file calls run on threads of their own ([`super::files`]). Requests come over a
//! channel that outlives the instance, so its successor gets the requests that it has not taken.
//!
//! wasmtime's own `ProxyHandler` starts another instance whenever the first is busy for a moment. Instances that share a
//! volume then contend for it; one instance that commits for all waiting requests is several times faster.

use super::files::Files;
use super::instance::{End, instantiate, open, until_death};
use super::job::Job;
use super::shared::Shared;
use crate::send::Caller;
use crate::state::State;
use crate::watch::{Cause, Life, Watch};
use anyhow::Context as _;
use futures::stream::{FuturesUnordered, StreamExt};
use std::future::{pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::coop::unconstrained;
use wasmtime::component::Accessor;
use wasmtime::{AsContextMut, format_err};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::handler::{Prepared, Proxy};

/// Requests that an instance takes at a time. With more, the work that is left of earlier requests waits too long.
const MAX_TAKEN: usize = 16;
/// How often an instance takes requests before the connections have their turn again.
const MAX_TURNS: usize = 8;

/// Runs one instance to its end. Calls `started` when the instance is ready for requests. It takes the request that is
/// `waiting` first.
pub(super) async fn run(shared: &Shared, waiting: &mut Option<Job>, started: impl FnOnce()) -> End {
    let files = match Files::start() {
        Ok(files) => files,
        Err(error) => return End::NotStarted(error),
    };
    let end = serve(shared, &files, waiting, started).await;
    match files.finish().await {
        Ok(()) => end,
        Err(error) => End::NotStarted(error),
    }
}

/// Makes an instance, and serves with it until it ends.
async fn serve(
    shared: &Shared,
    files: &Files,
    waiting: &mut Option<Job>,
    started: impl FnOnce(),
) -> End {
    let life = Arc::new(Life::new(Duration::ZERO));
    let caller = Caller::default();
    let instance = files.of(async {
        let (shared_, caller_) = (shared.clone(), caller.clone());
        let opened = tokio::task::spawn_blocking(move || open(&shared_, &caller_));
        let state = opened.await.context("cannot open the directories")??;
        let made = instantiate(shared, state, &life, &caller).await;
        made.map_err(|not_made| not_made.error)
    });
    let (mut store, proxy) = match instance.await {
        Ok(instance) => instance,
        Err(error) => return End::NotStarted(error),
    };
    started();
    // There is one instance at a time, so nothing else waits for this lock.
    let mut jobs = shared.jobs.lock().await;
    let watch = &shared.watch;
    let serving = Serving {
        proxy: &proxy,
        watch,
        life: &life,
        caller: &caller,
        max_calls: shared.limits.max_connections(),
        idle: AtomicBool::new(true),
    };
    let work =
        store.run_concurrent(async |accessor| serving.run(accessor, waiting, &mut jobs).await);
    // The loop bounds itself.
    let work = unconstrained(files.of(serving.turns(work, &shared.running)));
    match until_death(work, watch, &life)
        .await
        .and_then(|result| result)
    {
        Ok(()) => End::Drained,
        Err(error) => End::Died(life.end(Cause::Failed), error),
    }
    // The store is dropped here, after the end is noted.
}

/// Wakes the event loop of an instance. If it rings while the loop runs, the loop has more to do: wasmtime pauses a busy loop
/// now and then.
struct Alarm {
    rang: AtomicBool,
    life: Arc<Life>,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rang.store(true, Relaxed);
        self.life.stir();
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
    /// Whether the loop had nothing left to do but to wait.
    idle: AtomicBool,
}

impl Serving<'_> {
    /// Runs the event loop. Sets `running` while it runs, and `idle` whenever it can only wait.
    async fn turns<T>(&self, work: impl Future<Output = T>, running: &AtomicBool) -> T {
        let mut work = pin!(work);
        let alarm = Arc::new(Alarm {
            rang: AtomicBool::new(false),
            life: self.life.clone(),
        });
        let waker = Waker::from(alarm.clone());
        poll_fn(|cx| {
            self.life.moves(cx);
            running.store(true, Relaxed);
            let mut turns = 0;
            let polled = loop {
                alarm.rang.store(false, Relaxed);
                let polled = work.as_mut().poll(&mut Context::from_waker(&waker));
                let idle = polled.is_pending() && !alarm.rang.load(Relaxed);
                // If it took requests and is done with them, others may be waiting.
                let took = !self.idle.swap(idle, Relaxed);
                if !idle || !took {
                    break polled;
                }
                turns += 1;
                if turns == MAX_TURNS {
                    cx.waker().wake_by_ref();
                    break polled;
                }
            };
            running.store(false, Relaxed);
            polled
        })
        .await
    }

    /// Takes requests while more can come. Ends when all are answered and the component's work after its answers is done.
    /// It does not wait for overdue requests, because their clients have got a response.
    ///
    /// Requests are taken only when the event loop is `idle`. The loop runs ready work in the order it came. If requests
    /// were taken as fast as they come, the work that is left of answered requests, and file calls that have ended, would
    /// fall further and further behind.
    async fn run(
        &self,
        accessor: &Accessor<State>,
        waiting: &mut Option<Job>,
        jobs: &mut mpsc::Receiver<Job>,
    ) -> wasmtime::Result<()> {
        let Proxy::P3(service) = self.proxy else {
            return Err(format_err!("not a WASI 0.3 component"));
        };
        let handle = *service.wasi_http_handler().func_handle().func();
        let mut calls = FuturesUnordered::new();
        let mut more_to_come = true;
        // wasmtime polls this once for every piece of work.
        poll_fn(|cx| {
            poll_calls(&mut calls, cx)?;
            if more_to_come && self.idle.load(Relaxed) && !self.life.is_retiring() {
                let before = calls.len();
                while calls.len() < self.max_calls.min(before + MAX_TAKEN)
                    && accessor
                        .poll_ready_for_concurrent_call(handle, cx)
                        .is_ready()
                {
                    let next = match waiting.take() {
                        Some(job) => Poll::Ready(Some(job)),
                        None => jobs.poll_recv(cx),
                    };
                    match next {
                        Poll::Ready(Some(job)) => {
                            self.idle.store(false, Relaxed);
                            calls.extend(self.call(accessor, job));
                        }
                        Poll::Ready(None) => {
                            more_to_come = false;
                            break;
                        }
                        Poll::Pending => break,
                    }
                }
                // Starts the new calls.
                poll_calls(&mut calls, cx)?;
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

/// Goes on with the calls that can, and forgets those that have finished.
fn poll_calls<F: Future<Output = wasmtime::Result<()>>>(
    calls: &mut FuturesUnordered<F>,
    cx: &mut Context<'_>,
) -> wasmtime::Result<()> {
    while let Poll::Ready(Some(finished)) = calls.poll_next_unpin(cx) {
        finished?;
    }
    Ok(())
}
