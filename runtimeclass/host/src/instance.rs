//! One instance of the component, from instantiation to its end, answering every request that it is sent at once.
//!
//! All of it happens in one `run_concurrent` loop on one thread: requests come over a channel that outlives the
//! instance, so those it has not taken yet are its successor's. wasmtime's own `ProxyHandler` starts another instance
//! whenever the first is busy for a moment; instances that share a volume then contend for it, and one that commits
//! for all who wait is several times faster.

use crate::app::Component;
use crate::engine;
use crate::settings::Limits;
use crate::state::State;
use crate::watch::{Death, Fate, Ticket, Watch};
use futures::channel::oneshot;
use futures::stream::{FuturesUnordered, StreamExt};
use std::future::{pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::Poll;
use std::time::Instant;
use tokio::sync::mpsc;
use wasmtime::component::Accessor;
use wasmtime::{AsContextMut, Store, UpdateDeadline, format_err};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::handler::{Prepared, Proxy, Request, Response};

/// A request on its way to an instance.
pub(crate) struct Job {
    pub(crate) request: Request,
    /// Dropped unanswered when the instance that took it dies.
    pub(crate) reply: oneshot::Sender<wasmtime::Result<Response>>,
    pub(crate) ticket: Ticket,
}

/// How an instance ended.
pub(crate) enum End {
    /// It was never there.
    NotStarted(anyhow::Error),
    /// Every request was answered and none will come.
    Drained,
    /// It was stopped with its requests.
    Died(Death, wasmtime::Error),
}

/// Runs one instance to its end. `started` is called when it takes requests.
pub(crate) async fn run(
    component: &Component,
    limits: &Limits,
    watch: &Arc<Watch>,
    jobs: &mut mpsc::Receiver<Job>,
    started: impl FnOnce(),
) -> End {
    let fate = Arc::new(Fate::new());
    let (mut store, proxy) = match instantiate(component, limits, watch, &fate).await {
        Ok(instance) => instance,
        Err(error) => return End::NotStarted(error),
    };
    started();
    let born = Instant::now();
    let (most, idle) = (limits.connections, AtomicBool::new(true));
    let work = store
        .run_concurrent(async |accessor| serve(accessor, &proxy, jobs, &fate, most, &idle).await);
    let mut work = pin!(work);
    let result = tokio::select! {
        biased;
        result = noting_idleness(work.as_mut(), &idle) => result.and_then(|result| result),
        // Outside the loop above, which stands still while the component is in a call that blocks it whole.
        error = async {
            let death = watch.death(born, engine::tick(watch.limit())).await;
            // Noted before the requests are dropped: they are answered according to it.
            let _ = fate.set(death);
            stopped(death)
        } => Err(error),
    };
    match result {
        Ok(()) => End::Drained,
        Err(error) => End::Died(*fate.get_or_init(|| Death::Failed), error),
    }
    // The store is dropped here, after its fate is noted.
}

/// Runs the event loop, and sets `idle` whenever it has nothing left to do but to wait.
async fn noting_idleness<F: Future>(mut work: Pin<&mut F>, idle: &AtomicBool) -> F::Output {
    poll_fn(|cx| {
        let poll = work.as_mut().poll(cx);
        // Once more where that is news, for a request may be waiting.
        if poll.is_pending() && !idle.swap(true, Relaxed) {
            return work.as_mut().poll(cx);
        }
        poll
    })
    .await
}

async fn instantiate(
    component: &Component,
    limits: &Limits,
    watch: &Arc<Watch>,
    fate: &Arc<Fate>,
) -> anyhow::Result<(Store<State>, Proxy)> {
    let mut store = Store::new(&component.engine, State::new(component, limits.memory)?);
    store.limiter(|state| &mut state.memory);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback({
        let (watch, fate, born) = (watch.clone(), fate.clone(), Instant::now());
        move |_| match watch.judge(born, Instant::now()) {
            None => Ok(UpdateDeadline::Continue(1)),
            Some(death) => {
                let _ = fate.set(death);
                Err(stopped(death))
            }
        }
    });
    // Instantiation runs the component's code too: it has the time of one request.
    let _ticket = watch.register();
    let service = component.service.instantiate_async(&mut store).await;
    let service =
        service.map_err(|error| anyhow::anyhow!("the component does not start: {error:#}"))?;
    Ok((store, Proxy::P3(service)))
}

fn stopped(death: Death) -> wasmtime::Error {
    match death {
        Death::Overdue => {
            format_err!("a request took longer than the time limit (--request-timeout)")
        }
        Death::Abandoned => format_err!("the time to drain was over (--drain-timeout)"),
        Death::Failed => format_err!("the component failed"),
    }
}

/// Takes requests while there are any to come, at most `most` at once, and ends when all are answered and what the
/// component still does after an answer is done too.
///
/// A request is taken only when the event loop is `idle`. The loop runs what is ready in the order it came: were
/// requests taken as fast as they come, what the component has yet to do for those it has answered, and file calls
/// that have ended, would fall behind them, further and further.
async fn serve(
    accessor: &Accessor<State>,
    proxy: &Proxy,
    jobs: &mut mpsc::Receiver<Job>,
    fate: &Arc<Fate>,
    most: usize,
    idle: &AtomicBool,
) -> wasmtime::Result<()> {
    let Proxy::P3(service) = proxy else {
        return Err(format_err!("not a WASI 0.3 component"));
    };
    let handle = *service.wasi_http_handler().func_handle().func();
    let mut calls = FuturesUnordered::new();
    let mut more_to_come = true;
    poll_fn(|cx| {
        while let Poll::Ready(Some(finished)) = calls.poll_next_unpin(cx) {
            if let Err(error) = finished {
                return Poll::Ready(Err(error));
            }
        }
        let room = more_to_come && calls.len() < most && idle.load(Relaxed);
        if room
            && accessor
                .poll_ready_for_concurrent_call(handle, cx)
                .is_ready()
        {
            match jobs.poll_recv(cx) {
                Poll::Ready(Some(job)) => {
                    idle.store(false, Relaxed);
                    calls.extend(call(accessor, proxy, job, fate));
                    // Its call is to be polled.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Ready(None) => more_to_come = false,
                Poll::Pending => {}
            }
        }
        if !more_to_come && calls.is_empty() {
            return accessor.poll_no_interesting_tasks(cx).map(Ok);
        }
        Poll::Pending
    })
    .await
}

/// Starts one call; none when the client has left before anything was done for it.
fn call<'a>(
    accessor: &'a Accessor<State>,
    proxy: &'a Proxy,
    job: Job,
    fate: &Arc<Fate>,
) -> Option<impl Future<Output = wasmtime::Result<()>> + 'a> {
    let Job {
        request,
        reply,
        ticket,
    } = job;
    if reply.is_canceled() {
        return None;
    }
    ticket.progress().taken_by(fate);
    let prepared = accessor.with(|mut store| {
        Prepared::new(store.as_context_mut(), proxy, request, State::http, reply)
    });
    Some(async move {
        prepared?.run(accessor, pending()).await?;
        // Watched until here, that is until the head of the response is made.
        drop(ticket);
        Ok(())
    })
}
