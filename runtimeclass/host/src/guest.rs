//! The component as the server sees it: requests go in, responses come out, and whatever dies meanwhile is replaced.
//!
//! - [`worker`]: the threads that run instances, one after the other

mod worker;

use crate::answer::Answer;
use crate::app::Component;
use crate::body::RequestBody;
use crate::instance::Job;
use crate::memory::Budget;
use crate::response::{self, Named};
use crate::settings::Limits;
use crate::watch::{Death, GRACE, Progress, Watch};
use anyhow::Result;
use futures::channel::oneshot;
use http::StatusCode;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body as _, Incoming};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use wasmtime_wasi_http::WasiBody;
use wasmtime_wasi_http::handler::Response;

pub(crate) use worker::{Ended, FILE_THREADS, Shared};

/// Sends requests to the component. When every clone is gone the component finishes and ends.
#[derive(Clone)]
pub(crate) struct Guest {
    jobs: mpsc::Sender<Job>,
    watch: Arc<Watch>,
    body_limit: Duration,
}

/// What became of a request.
enum Outcome {
    Answered(Response),
    /// The component, or the host for it, refused to answer.
    Refused(wasmtime::Error),
    /// The instance that had it died.
    Lost,
    /// Its time was over.
    Overdue,
}

impl Guest {
    /// Starts the component's threads and its first instance; an error when that does not start.
    pub(crate) async fn start(
        component: Arc<Component>,
        limits: &Limits,
        budget: Arc<Budget>,
    ) -> Result<(Self, Ended)> {
        let (jobs, received) = mpsc::channel(limits.connections);
        let watch = Arc::new(Watch::new(limits.request_timeout));
        let ended = worker::start(component, limits, budget, &watch, received).await?;
        let guest = Self {
            jobs,
            watch,
            body_limit: limits.body_timeout,
        };
        Ok((guest, ended))
    }

    /// Stops the component with whatever it still does.
    pub(crate) fn abandon(&self) -> impl FnOnce() + use<> {
        let watch = self.watch.clone();
        move || watch.abandon()
    }

    /// Has the component answer a request, or says why it did not.
    pub(crate) async fn call(&self, head: http::request::Parts, body: Option<Incoming>) -> Answer {
        let named = Named::new(&head);
        let ticket = self.watch.register();
        let progress = ticket.progress().clone();
        let request = http::Request::from_parts(head, self.request_body(body, &progress));
        let (reply, replied) = oneshot::channel();
        let job = Job {
            request,
            reply,
            ticket,
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
                    Ok(answer) => answer,
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
            Outcome::Lost => lost(life.death()),
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

    /// Waits until the request is answered, or its time is over. One that waits for an instance has a moment longer: the
    /// instance before is stopped first.
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
            if end <= now {
                return Outcome::Overdue;
            }
            // An instance may take it meanwhile, which starts its time anew.
            let next = if limit > now { limit } else { end };
            match tokio::time::timeout_at(next.into(), &mut replied).await {
                Ok(Ok(Ok(response))) => return Outcome::Answered(response),
                Ok(Ok(Err(error))) => return Outcome::Refused(error),
                Ok(Err(oneshot::Canceled)) => return Outcome::Lost,
                Err(_) => {}
            }
        }
    }
}

/// The response to a request whose instance died.
fn lost(death: Option<Death>) -> Answer {
    match death {
        Some(Death::Overdue) => overdue(),
        Some(Death::Abandoned) => unavailable("the server stops"),
        Some(Death::Failed) | None => failed(),
    }
}

fn failed() -> Answer {
    refuse(
        StatusCode::INTERNAL_SERVER_ERROR,
        "the component failed; see the log",
    )
}

fn overdue() -> Answer {
    refuse(
        StatusCode::GATEWAY_TIMEOUT,
        "the component took longer than the time limit; see the log",
    )
}

fn unavailable(line: &str) -> Answer {
    refuse(StatusCode::SERVICE_UNAVAILABLE, line)
}

fn refuse(status: StatusCode, line: &str) -> Answer {
    crate::answer::line(status, line)
}
