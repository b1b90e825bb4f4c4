//! Serves an application over HTTP/1.1 and HTTP/2 until the caller's shutdown future resolves, then drains.
//!
//! The server and the components of WASI 0.3 run on the caller's runtime, and need one thread of it.

use crate::app::App;
use crate::connection::Connections;
use crate::error::{Error, OrError};
use crate::guest::{Ended, Guest};
use crate::limits::Limits;
use crate::memory::Budget;
use crate::service::Service;
use crate::startup_check::StartupCheck;
use anyhow::{Context, anyhow};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Every request was answered, and the component had nothing left to do.
    Clean,
    /// The drain timeout passed, and this many requests were cut. The number is 0 if only the component's own work was
    /// cut.
    Cut(usize),
}

/// What is served, and how.
pub(crate) struct Serving {
    pub(crate) app: App,
    pub(crate) limits: Limits,
    pub(crate) access_log: bool,
    pub(crate) startup_check: Option<StartupCheck>,
}

impl Serving {
    /// Serves on `listener` until `shutdown` resolves, then drains.
    pub(crate) async fn run(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> Result<Drained, Error> {
        let address = listener
            .local_addr()
            .context("the listener has no address")
            .or_error(Error::Listener)?;
        let limits = self.limits;
        let (guests, mut ended) = start(&self.app, &limits).await?;
        let abandon: Vec<_> = guests.iter().map(Guest::abandon).collect();
        let service = Arc::new(Service::new(self.app, guests, self.access_log));
        tracing::info!(url = %format!("http://{address}"), app = service.name(), "listening");
        let check = self.startup_check.map(|check| {
            let service = service.clone();
            tokio::spawn(async move { check.run(&service, address).await })
        });
        let mut connections = Connections::new(&limits);
        let answer = move |request, peer| {
            let service = service.clone();
            async move { service.answer(request, peer).await }
        };
        // `accept` owns the service and is dropped here. Then no request can reach the components any more, so they end.
        tokio::select! {
            () = connections.accept(&listener, answer) => {}
            () = shutdown => {}
            () = one(&mut ended) => {
                let stopped = Err(anyhow!("a component's worker ended unexpectedly"));
                return stopped.or_error(Error::Stopped);
            }
        }
        // The port is free for a successor while this server drains.
        drop(listener);
        tracing::info!(requests = connections.requests(), "draining");
        let requests = connections.requests_in_flight();
        let drained = drain(connections, check, ended);
        Ok(
            match tokio::time::timeout(limits.drain_timeout, drained).await {
                Ok(()) => Drained::Clean,
                Err(_) => {
                    abandon.into_iter().for_each(|abandon| abandon());
                    Drained::Cut(requests.now())
                }
            },
        )
    }
}

/// Starts all components, one after the other.
async fn start(app: &App, limits: &Limits) -> Result<(Vec<Guest>, Vec<Ended>), Error> {
    let (mut guests, mut ended) = (Vec::new(), Vec::new());
    let budget = Budget::new(limits.memory);
    for component in &app.components {
        let started = Guest::start(component.clone(), limits, budget.clone()).await;
        let (guest, end) = started.or_error(Error::Component)?;
        guests.push(guest);
        ended.push(end);
    }
    Ok((guests, ended))
}

/// Waits until one of the components has ended. Waits for ever if there is no component.
async fn one(ended: &mut [Ended]) {
    if ended.is_empty() {
        return std::future::pending().await;
    }
    let _ = futures::future::select_all(ended).await;
}

async fn drain(connections: Connections, check: Option<JoinHandle<()>>, ended: Vec<Ended>) {
    connections.finish().await;
    if let Some(check) = check {
        let _ = check.await;
    }
    for component in ended {
        let _ = component.await;
    }
}
