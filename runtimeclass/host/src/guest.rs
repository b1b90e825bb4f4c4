//! A component as the server sees it: requests go in, and responses come out. An instance that dies is replaced.
//!
//! - [`job`]: a request on its way to an instance
//! - [`shared`]: what the workers of one component share
//! - [`worker`]: what runs instances, one after the other
//! - [`concurrent`]: one instance of WASI 0.3, which answers everything it is sent at once
//! - [`single`]: instances of WASI 0.2, one for each request
//! - [`spare`]: the one of these that is made before its request comes
//! - [`instance`]: how instances of both are made, and how they end
//! - [`files`]: the threads for the file calls of one instance

mod concurrent;
mod files;
mod instance;
mod job;
mod shared;
mod single;
mod spare;
mod worker;

use crate::answer::{self, Answer};
use crate::body::RequestBody;
use crate::component::Component;
use crate::limits::Limits;
use crate::memory::Budget;
use crate::response::{self, Named};
use crate::watch::{Cause, GRACE, Progress, Watch};
use anyhow::Result;
use futures::channel::oneshot;
use http::StatusCode;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body as _, Incoming};
use job::Job;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use wasmtime_wasi_http::WasiBody;
use wasmtime_wasi_http::handler::Response;

pub(crate) use worker::Ended;

/// Sends requests to one component. The component finishes and ends when every clone is dropped.
#[derive(Clone)]
pub(crate) struct Guest {
    jobs: mpsc::Sender<Job>,
    watch: Arc<Watch>,
    body_limit: Duration,
}

/// The outcome of a request.
enum Outcome {
    Answered(Response),
    /// The component returned an error, or the host did in its place.
    Refused(wasmtime::Error),
    /// Its instance died.
    Lost,
    /// Its time ran out.
    Overdue,
}

impl Guest {
    /// Starts the component's threads and its first instance. Fails if that instance does not start.
    pub(crate) async fn start(
        component: Arc<Component>,
        limits: &Limits,
        budget: Arc<Budget>,
    ) -> Result<(Self, Ended)> {
        let (jobs, received) = mpsc::channel(limits.max_connections());
        let watch = Arc::new(Watch::new(limits.request_timeout));
        let ended = worker::start(component, limits, budget, &watch, received).await?;
        let guest = Self {
            jobs,
            watch,
            body_limit: limits.body_timeout,
        };
        Ok((guest, ended))
    }

    /// Returns a function that stops the component with all its work.
    pub(crate) fn abandon(&self) -> impl FnOnce() + use<> {
        let watch = self.watch.clone();
        move || watch.abandon()
    }

    /// Returns the component's response to a request, or a response with the reason why there is none.
    pub(crate) async fn call(&self, head: http::request::Parts, body: Option<Incoming>) -> Answer {
        let named = Named::new(&head);
        let watched = self.watch.register();
        let progress = watched.progress().clone();
        let request = http::Request::from_parts(head, self.request_body(body, &progress));
        let (reply, replied) = oneshot::channel();
        let job = Job {
            request,
            reply,
            watched,
        };
        if self.jobs.try_send(job).is_err() {
            return unavailable("too many requests wait for the component");
        }
        let outcome = self.outcome(replied, &progress).await;
        let Some(life) = progress.instance() else {
            return match outcome {
                Outcome::Refused(error) => unavailable(&format!("{error:#}")),
                _ => unavailable("no instance of the component is free; see the log"),
            };
        };
        match outcome {
            Outcome::Answered(response) => {
                match response::checked(response, life.clone(), named.clone()).await {
                    Ok(response) => answer::of_component(response),
                    Err(error) => {
                        named.invalid(&error);
                        failed()
                    }
                }
            }
            Outcome::Refused(error) => {
                named.invalid(&format!("{error:#}"));
                failed()
            }
            Outcome::Lost => lost(life.cause()),
            Outcome::Overdue => {
                named.overdue();
                overdue()
            }
        }
    }

    fn request_body(&self, body: Option<Incoming>, progress: &Arc<Progress>) -> WasiBody {
        match body.filter(|body| !body.is_end_stream()) {
            Some(body) => RequestBody::new(body, self.body_limit, progress.clone()).boxed_unsync(),
            None => Empty::new().map_err(|never| match never {}).boxed_unsync(),
        }
    }

    /// Waits until the request is answered or its time runs out. A request that waits for an instance has a moment longer,
    /// because the instance before it is stopped first.
    async fn outcome(
        &self,
        mut replied: oneshot::Receiver<wasmtime::Result<Response>>,
        progress: &Progress,
    ) -> Outcome {
        loop {
            let limit = progress.ends();
            let end = match progress.instance() {
                None => limit + GRACE + GRACE,
                Some(_) => limit,
            };
            let now = Instant::now();
            // If an instance takes the request meanwhile, its time starts again.
            let Some(next) = [limit, end].into_iter().find(|at| *at > now) else {
                return Outcome::Overdue;
            };
            match tokio::time::timeout_at(next.into(), &mut replied).await {
                Ok(Ok(Ok(response))) => return Outcome::Answered(response),
                Ok(Ok(Err(error))) => return Outcome::Refused(error),
                Ok(Err(oneshot::Canceled)) => return Outcome::Lost,
                Err(_) => {}
            }
        }
    }
}

/// Returns the response to a request whose instance died.
fn lost(cause: Option<Cause>) -> Answer {
    match cause {
        Some(Cause::Overdue) => overdue(),
        Some(Cause::Abandoned) => unavailable("the server stops"),
        Some(Cause::Failed) | None => failed(),
    }
}

fn failed() -> Answer {
    answer::line(
        StatusCode::INTERNAL_SERVER_ERROR,
        "the component failed; see the log",
    )
}

fn overdue() -> Answer {
    answer::line(
        StatusCode::GATEWAY_TIMEOUT,
        "the component took longer than the time limit; see the log",
    )
}

fn unavailable(line: &str) -> Answer {
    answer::line(StatusCode::SERVICE_UNAVAILABLE, line)
}
