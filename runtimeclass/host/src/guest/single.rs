//! Instances of a WASI 0.2 component. Each answers one request.
//!
//! Such an instance runs one call at a time, and stands still while the call waits. Its toolchains also expect a fresh
//! instance for each request, as Spin and `wasmtime serve` provide it.

use super::instance::{End, NotMade, instantiate, open, until_death};
use super::job::{Job, report_not_started};
use super::shared::Shared;
use crate::send::Caller;
use crate::state::State;
use crate::watch::{Cause, GRACE, Life};
use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};
use std::future::{pending, poll_fn};
use std::sync::Arc;
use wasmtime::{AsContextMut, Store};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::handler::{Prepared, Proxy};

/// An instance that has not answered yet.
struct Instance {
    store: Store<State>,
    proxy: Proxy,
    life: Arc<Life>,
    caller: Caller,
}

/// Makes an instance, which then answers the next request. Calls `started` when the instance is made. If there is no memory
/// for it, and it is not the first one, waits until others have less.
pub(super) async fn run_warm(shared: &Shared, first: bool, started: impl FnOnce()) -> End {
    let mut made = Instance::new(shared).await;
    let instance = loop {
        made = match made {
            Ok(instance) => break instance,
            Err(NotMade {
                beside: Some(beside),
                ..
            }) if !first => Instance::new_below(shared, beside).await,
            Err(NotMade { error, .. }) => return End::NotStarted(error),
        };
    };
    started();
    match shared.spare.next(&shared.jobs).await {
        Some(job) => instance.answer(shared, job).await,
        None => End::Drained,
    }
}

/// Waits for a request, and makes an instance that answers it. If there is no memory for the instance, waits until others
/// have less, or hands the request over to one that waits.
pub(super) async fn run(shared: &Shared) -> End {
    let Some(mut job) = shared.spare.next_of_others(&shared.jobs).await else {
        return End::Drained;
    };
    let mut made = Instance::new(shared).await;
    loop {
        let not_made = match made {
            Ok(instance) => return instance.answer(shared, job).await,
            Err(not_made) => not_made,
        };
        let Some(beside) = not_made.beside else {
            report_not_started(&not_made.error);
            job.refuse();
            return End::Finished;
        };
        made = tokio::select! {
            () = shared.spare.waits() => match shared.spare.hand_over(job) {
                None => return End::Finished,
                Some(back) => {
                    job = back;
                    Err(not_made)
                }
            },
            made = Instance::new_below(shared, beside) => made,
            // The request's time has run out, or its client has left.
            () = job.reply.cancellation() => return End::Finished,
        };
    }
}

impl Instance {
    async fn new(shared: &Shared) -> Result<Self, NotMade> {
        // It stands still while it waits, so it gets the grace period to react that others have anyway.
        let life = Arc::new(Life::new(GRACE));
        let caller = Caller::default();
        let opened = open(shared, &caller);
        let state = opened.map_err(|error| NotMade {
            error,
            beside: None,
        })?;
        let (store, proxy) = instantiate(shared, state, &life, &caller).await?;
        Ok(Self {
            store,
            proxy,
            life,
            caller,
        })
    }

    /// Makes an instance when all others have less memory than `beside`, in bytes.
    async fn new_below(shared: &Shared, beside: usize) -> Result<Self, NotMade> {
        let _turn = shared.waits_for_memory.lock().await;
        shared.budget.below(beside).await;
        Self::new(shared).await
    }

    async fn answer(mut self, shared: &Shared, job: Job) -> End {
        let Job {
            mut request,
            reply,
            watched,
        } = job;
        with_authority(request.uri_mut());
        let life = &self.life;
        watched.progress().taken_by(life);
        self.caller.next(watched.progress());
        let proxy = &self.proxy;
        let work = self.store.run_concurrent(async |accessor| {
            let prepared = accessor.with(|mut store| {
                Prepared::new(store.as_context_mut(), proxy, request, State::http, reply)
            })?;
            let mut call = std::pin::pin!(prepared.run(accessor, pending()));
            poll_fn(|cx| {
                life.moves(cx);
                call.as_mut().poll(cx)
            })
            .await?;
            poll_fn(|cx| accessor.poll_no_interesting_tasks(cx)).await;
            wasmtime::error::Ok(())
        });
        let ended = until_death(work, &shared.watch, life)
            .await
            .and_then(|result| result);
        drop(watched);
        match ended {
            Ok(()) => End::Finished,
            Err(error) => End::Died(life.end(Cause::Failed), error),
        }
    }
}

/// Adds an authority to a URI without one (HTTP/1.0), because a component of WASI 0.2 always sees one. Spin does the same.
fn with_authority(uri: &mut Uri) {
    if uri.authority().is_some() {
        return;
    }
    let mut parts = std::mem::take(uri).into_parts();
    parts.scheme.get_or_insert(Scheme::HTTP);
    parts.authority = Some(Authority::from_static("localhost"));
    parts
        .path_and_query
        .get_or_insert(PathAndQuery::from_static("/"));
    *uri = Uri::from_parts(parts).unwrap_or_default();
}
