//! What instances of every version of WASI have in common: how they are made and how they end.

use super::shared::Shared;
use crate::engine;
use crate::send::{Caller, Outbound};
use crate::state::State;
use crate::watch::{Cause, Life, Verdict, Watch};
use std::sync::Arc;
use std::time::Instant;
use wasmtime::{Store, UpdateDeadline, format_err};
use wasmtime_wasi_http::handler::Proxy;

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

/// Why an instance was not made.
pub(super) struct NotMade {
    pub(super) error: anyhow::Error,
    /// The memory that other instances had, in bytes, if it failed for want of memory. It may be made when they have less.
    pub(super) beside: Option<usize>,
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

/// Opens what an instance may use. Waits for the file systems of its directories.
pub(super) fn open(shared: &Shared, caller: &Caller) -> anyhow::Result<State> {
    let grants = &shared.component.grants;
    let outbound = Outbound::new(grants, shared.watch.limit(), caller.clone());
    State::new(grants, &shared.budget, outbound)
}

/// Makes an instance whose calls to the host `caller` attributes to requests.
pub(super) async fn instantiate(
    shared: &Shared,
    state: State,
    life: &Arc<Life>,
    caller: &Caller,
) -> Result<(Store<State>, Proxy), NotMade> {
    let component = &shared.component;
    let mut store = Store::new(&component.engine, state);
    store.limiter(|state| &mut state.memory);
    if !component.grants.outbound.is_empty() {
        store.task_group_hook(caller.clone());
    }
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback({
        let (watch, life) = (shared.watch.clone(), life.clone());
        move |_| match watch.judge(&life, Instant::now()) {
            // While a component computes, the connections and the other components have their turns.
            Verdict::Lives | Verdict::Retires => {
                let others = Box::pin(tokio::task::yield_now());
                Ok(UpdateDeadline::YieldCustom(1, others))
            }
            Verdict::Ends(cause) => Err(stopped(life.end(cause))),
        }
    });
    // Instantiation runs the component's code too, and has the time of one request.
    let _ticket = shared.watch.register();
    let service = component.service.instantiate_async(&mut store).await;
    match service {
        Ok(service) => Ok((store, service)),
        Err(error) => {
            let refused = store.data().memory.refused_beside();
            drop(store);
            Err(not_made(shared, &error, refused))
        }
    }
}

/// Describes the error of an instance that was not made, and is dropped. `refused` is for want of memory within the limit.
fn not_made(shared: &Shared, error: &wasmtime::Error, refused: Option<usize>) -> NotMade {
    let no_address_space = error
        .root_cause()
        .to_string()
        .contains("Cannot allocate memory");
    let hint = match no_address_space {
        true => {
            " (is the limit of address space too low? raise `ulimit -v`, or lower --memory-limit)"
        }
        false => "",
    };
    let beside = refused.or_else(|| no_address_space.then(|| shared.budget.used()));
    NotMade {
        error: anyhow::anyhow!("the component does not start: {error:#}{hint}"),
        beside: beside.filter(|bytes| *bytes > 0),
    }
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
