//! One request, from its arrival to its answer: either a component gets it, or the host answers it.

use crate::answer::{self, Answer};
use crate::app::{App, Reached};
use crate::guest::Guest;
use crate::head;
use crate::router::Router;
use crate::well_known::{self, Info};
use http::request::Parts;
use http::{Method, StatusCode};
use hyper::body::Incoming;
use std::net::SocketAddr;
use std::time::Instant;

/// Answers the requests of every connection.
pub(crate) struct Service {
    router: Router<Reached>,
    /// By the indices of the router's components.
    guests: Vec<Guest>,
    info: Info,
    access_log: bool,
}

impl Service {
    /// Returns the service of an application whose components `guests` run.
    pub(crate) fn new(app: App, guests: Vec<Guest>, access_log: bool) -> Self {
        Self {
            router: app.router,
            guests,
            info: app.info,
            access_log,
        }
    }

    /// Returns the application's name.
    pub(crate) fn name(&self) -> &str {
        &self.info.name
    }

    /// Answers a request of a client. Never fails, because an error would close the connection without an answer.
    pub(crate) async fn answer(
        &self,
        request: http::Request<Incoming>,
        peer: SocketAddr,
    ) -> Answer {
        if !self.access_log {
            return self.route(request, peer).await;
        }
        let started = Instant::now();
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let answer = self.route(request, peer).await;
        let status = answer.status().as_u16();
        let duration_ms = started.elapsed().as_micros() as f64 / 1000.0;
        tracing::info!(%method, path, status, duration_ms, %peer, "request");
        answer
    }

    async fn route(&self, request: http::Request<Incoming>, peer: SocketAddr) -> Answer {
        let (mut head, body) = request.into_parts();
        if head.method == Method::CONNECT {
            return nothing_there();
        }
        if let Err(refusal) = head::prepare(&mut head) {
            return refusal;
        }
        if head.uri.host().is_some_and(is_internal) {
            return nothing_there();
        }
        if let Some(path) = head.uri.path().strip_prefix(well_known::PREFIX) {
            return self.info.answer(path);
        }
        self.dispatch(head, Some(body), peer).await
    }

    /// Answers a request whose head has been checked.
    pub(crate) async fn dispatch(
        &self,
        mut head: Parts,
        body: Option<Incoming>,
        peer: SocketAddr,
    ) -> Answer {
        // The captures are slices of it, and the head changes.
        let uri = head.uri.clone();
        match self.router.find(uri.path()) {
            None => nothing_there(),
            Some((Reached::Response(response), _)) => answer::fixed(response.clone()),
            Some((Reached::Component(index, headers), captures)) => {
                headers.set(&mut head, &captures, peer);
                // There is a guest for each component that a route reaches.
                self.guests[*index].call(head, body).await
            }
        }
    }
}

fn nothing_there() -> Answer {
    answer::line(StatusCode::NOT_FOUND, "no component is at this path")
}

/// Returns whether the host is a name of a component. Such names are reserved for requests between components.
fn is_internal(host: &str) -> bool {
    const DOMAIN: &str = ".spin.internal";
    let start = host.len().checked_sub(DOMAIN.len());
    let end = start.and_then(|start| host.get(start..));
    end.is_some_and(|end| end.eq_ignore_ascii_case(DOMAIN))
}
