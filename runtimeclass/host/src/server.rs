//! Serves an application over HTTP/1.1 and HTTP/2 on a listener that the caller has bound, until the caller's shutdown future
//! resolves; then drains. No signals, no logger, no exit: `preopen` and the containerd shim both call [`serve`].
//!
//! It runs on the caller's runtime and needs one thread of it: the component, on a thread of its own, is the slower
//! half by far.

use crate::answer::{self, Answer};
use crate::app::{App, Reached};
use crate::connection::{Connections, accept};
use crate::guest::{Ended, Guest};
use crate::head;
use crate::memory::Budget;
use crate::router::Router;
use crate::settings::Limits;
use crate::well_known::{self, Info};
use anyhow::{Context, Result, bail};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
use tokio::net::TcpListener;

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Every request was answered, and the component had nothing left to do.
    Clean,
    /// The time to drain was over: so many requests were cut; none when only the component's own work was.
    Cut(usize),
}

/// What every connection shares.
pub(crate) struct Service {
    router: Router<Reached>,
    /// By the indices of the router's components.
    guests: Vec<Guest>,
    info: Info,
    access_log: bool,
}

/// Serves `app` on `listener` until `shutdown` resolves, then drains.
///
/// An error means that it never served (the component does not start) or can no longer.
pub async fn serve(
    app: App,
    limits: &Limits,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> Result<Drained> {
    let address = listener
        .local_addr()
        .context("the address of the listener")?;
    let (guests, mut ended) = start(&app, limits).await?;
    let abandon: Vec<_> = guests.iter().map(Guest::abandon).collect();
    let service = Arc::new(Service {
        router: app.router,
        guests,
        info: app.info,
        access_log: limits.access_log,
    });
    tracing::info!(url = %format!("http://{address}"), app = %service.info.name, "listening");
    let first = tokio::spawn(check_health(service.clone(), address));
    let mut connections = Connections::new(limits);
    tokio::select! {
        () = accept(&listener, &mut connections, &service) => {}
        () = shutdown => {}
        () = one(&mut ended) => bail!("a component's thread has ended unexpectedly"),
    }
    // The port is free for a successor while this server drains.
    drop(listener);
    // A component ends when nobody can send it a request any more.
    drop(service);
    tracing::info!(requests = connections.requests(), "draining");
    let requests = connections.requests_in_flight();
    let drained =
        tokio::time::timeout(limits.drain_timeout, drain(connections, first, ended)).await;
    Ok(match drained {
        Ok(()) => Drained::Clean,
        Err(_) => {
            abandon.into_iter().for_each(|abandon| abandon());
            Drained::Cut(requests.now())
        }
    })
}

/// Starts all components, one after the other.
async fn start(app: &App, limits: &Limits) -> Result<(Vec<Guest>, Vec<Ended>)> {
    let (mut guests, mut ended) = (Vec::new(), Vec::new());
    let budget = Budget::new(limits.memory);
    for component in &app.components {
        let (guest, end) = Guest::start(component.clone(), limits, budget.clone()).await?;
        guests.push(guest);
        ended.push(end);
    }
    Ok((guests, ended))
}

/// Waits until one of the components has ended: for ever if there is none.
async fn one(ended: &mut [Ended]) {
    if ended.is_empty() {
        return std::future::pending().await;
    }
    let _ = futures::future::select_all(ended).await;
}

async fn drain(connections: Connections, first: tokio::task::JoinHandle<()>, ended: Vec<Ended>) {
    connections.finish().await;
    let _ = first.await;
    for component in ended {
        let _ = component.await;
    }
}

/// One request of the host's own, for a component may have something to mend that a crash left behind.
async fn check_health(service: Arc<Service>, address: SocketAddr) {
    let Ok(request) = http::Request::get("http://localhost/healthz").body(()) else {
        return;
    };
    let (mut head, ()) = request.into_parts();
    let Some((Reached::Component(index, headers), captures)) = service.router.find("/healthz")
    else {
        return;
    };
    headers.set(&mut head, &captures, address);
    let answer = service.guests[*index].call(head, None).await;
    let status = answer.status();
    if status.is_success() || status == StatusCode::NOT_FOUND {
        return;
    }
    let body = http_body_util::Limited::new(answer.into_body(), 4096)
        .collect()
        .await;
    let body = body.map_or_else(
        |error| error.to_string(),
        |body| String::from_utf8_lossy(&body.to_bytes()).trim().to_owned(),
    );
    tracing::warn!(
        status = status.as_u16(),
        body,
        "the component's GET /healthz is not well"
    );
}

impl Service {
    /// Answers one request; never an error, for that would drop the connection without a word.
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
        let nothing_there = || answer::line(StatusCode::NOT_FOUND, "no component is at this path");
        if head.method == Method::CONNECT {
            return nothing_there();
        }
        if let Err(refusal) = head::prepare(&mut head) {
            return refusal;
        }
        if head.uri.host().is_some_and(is_internal) {
            return nothing_there();
        }
        // The captures are parts of it, and the head changes.
        let uri = head.uri.clone();
        if let Some(path) = uri.path().strip_prefix(well_known::PREFIX) {
            return self.info.answer(path);
        }
        match self.router.find(uri.path()) {
            None => nothing_there(),
            Some((Reached::Response(response), _)) => answer::fixed(response.clone()),
            Some((Reached::Component(index, headers), captures)) => {
                headers.set(&mut head, &captures, peer);
                // There is a guest for each component that a route reaches.
                self.guests[*index].call(head, Some(body)).await
            }
        }
    }
}

/// Returns whether this host is a component of an application. Such names are for requests between components, and not for
/// those from outside.
fn is_internal(host: &str) -> bool {
    const DOMAIN: &str = ".spin.internal";
    let start = host.len().checked_sub(DOMAIN.len());
    let end = start.and_then(|start| host.get(start..));
    end.is_some_and(|end| end.eq_ignore_ascii_case(DOMAIN))
}
