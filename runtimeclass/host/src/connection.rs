//! Connections: how many there are, what a client may take its time with, and how they end.
//!
//! A client can hold a connection only by using it: the head of a request, the pause between two and a pause within
//! a body have limits of their own, and a client that does not read its response is dropped. When all connections are
//! taken, the one that has been idle longest is closed for a new client: a health probe is such a client, too.
//!
//! - [`idle`]: which connections are idle, and since when
//! - [`stream`]: which HTTP a client speaks, and whether it takes what it is sent
//! - [`protocol`]: the limits of HTTP/1 and HTTP/2
//! - [`serve`]: one connection from its first byte to its end
//! - [`streams`]: the requests of one HTTP/2 connection, each with its own limit
//! - [`in_flight`]: requests in flight

mod idle;
mod in_flight;
mod protocol;
mod serve;
mod stream;
mod streams;
#[cfg(test)]
mod tests;

use crate::answer::Answer;
use crate::server::Service;
use crate::settings::Limits;
use http::Request;
use hyper::body::Incoming;
use idle::{Activity, Idle, Patience};
pub(crate) use in_flight::InFlight;
use protocol::Protocol;
use serve::{Closed, Closing, Shared, Stage, serve};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long a client may leave its response unread.
const WRITE_STALL: Duration = Duration::from_secs(30);
/// How long accepting pauses after an error like "too many open files", which ends only when a connection does.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often the log may say that all connections are taken.
const FULL_INTERVAL: Duration = Duration::from_secs(60);
/// How long a connection is still served when the server drains. A client whose next request is on its way while an
/// idle connection is closed gets no answer; one that is answered with `connection: close` takes another connection.
const LINGER: Duration = Duration::from_secs(2);

/// The open connections of a server.
pub(crate) struct Connections {
    protocol: Arc<Protocol>,
    patience: Patience,
    permits: Arc<Semaphore>,
    stage: watch::Sender<Stage>,
    /// Aborted on drop.
    tasks: JoinSet<()>,
    requests: InFlight,
    idle: Idle,
    closing: Arc<Closing>,
    linger: Duration,
}

impl Connections {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            protocol: Arc::new(Protocol::new(limits, WRITE_STALL)),
            patience: Patience {
                head: limits.header_timeout,
                idle: limits.idle_timeout,
                unread: WRITE_STALL,
            },
            permits: Arc::new(Semaphore::new(limits.connections)),
            stage: watch::Sender::new(Stage::Serving),
            tasks: JoinSet::new(),
            requests: InFlight::default(),
            idle: Idle::default(),
            closing: Arc::default(),
            // Time must remain to close what is idle.
            linger: LINGER.min(limits.drain_timeout / 2),
        }
    }

    /// Requests whose response is not out yet.
    pub(crate) fn requests(&self) -> usize {
        self.requests.now()
    }

    pub(crate) fn requests_in_flight(&self) -> InFlight {
        self.requests.clone()
    }

    /// Lets every request in flight be answered and closes every connection: one that is in use with its next answer,
    /// one that is idle after a while; and waits for all.
    pub(crate) async fn finish(mut self) {
        self.closing.all.store(true, Ordering::Relaxed);
        self.stage.send_replace(Stage::Draining);
        let lingered = tokio::time::timeout(self.linger, ended(&mut self.tasks)).await;
        if lingered.is_err() {
            self.stage.send_replace(Stage::Closing);
            ended(&mut self.tasks).await;
        }
    }

    /// Waits until there is room for one more connection, and makes some: by closing the one that has been idle
    /// longest, or one that holds a request with its response.
    async fn room(&self) -> OwnedSemaphorePermit {
        let mut permit = pin!(self.permits.clone().acquire_owned());
        let permit = loop {
            self.closing.next.store(true, Ordering::Relaxed);
            let too_early = self.idle.close_longest();
            tokio::select! {
                biased;
                permit = &mut permit => break permit,
                () = self.idle.changed() => {}
                () = tokio::time::sleep(too_early.unwrap_or_default()), if too_early.is_some() => {}
            }
        };
        self.idle.found_room();
        self.closing.next.store(false, Ordering::Relaxed);
        permit.expect("the semaphore is never closed")
    }

    fn open(
        &mut self,
        stream: TcpStream,
        peer: SocketAddr,
        service: &Arc<Service>,
        permit: OwnedSemaphorePermit,
    ) {
        // Without it a response in two writes waits for the client's delayed acknowledgement: 40 ms.
        let _ = stream.set_nodelay(true);
        let service = service.clone();
        self.serve(stream, peer, permit, move |request| {
            let service = service.clone();
            async move { service.answer(request, peer).await }
        });
    }

    /// Serves one connection, whatever it is made of, until it ends.
    fn serve<F>(
        &mut self,
        stream: impl AsyncRead + AsyncWrite + Send + 'static,
        peer: SocketAddr,
        permit: OwnedSemaphorePermit,
        answer: impl Fn(Request<Incoming>) -> F + Send + 'static,
    ) where
        F: Future<Output = Answer> + Send + 'static,
    {
        let activity = Arc::new(Activity::new());
        let seat = self.idle.seat(activity.clone(), self.patience);
        let shared = Shared {
            protocol: self.protocol.clone(),
            patience: self.patience,
            requests: self.requests.clone(),
            closing: self.closing.clone(),
            stage: self.stage.subscribe(),
            linger: self.linger,
        };
        self.tasks.spawn(async move {
            match serve(stream, activity, seat, shared, answer).await {
                Ok(Closed::Ended | Closed::Stopped) => {}
                Ok(Closed::ForRoom) => {
                    tracing::debug!(%peer, "closed an idle connection for a new one")
                }
                Ok(Closed::Overdue(what)) => {
                    tracing::debug!(%peer, ?what, "closed a connection: the client took too long")
                }
                Err(error) => tracing::debug!(%peer, %error, "a connection ended with an error"),
            }
            drop(permit);
        });
        // The results of those that have ended.
        while self.tasks.try_join_next().is_some() {}
    }
}

async fn ended(tasks: &mut JoinSet<()>) {
    while tasks.join_next().await.is_some() {}
}

/// Accepts connections for ever. At most one more than allowed is accepted, and served when there is room for it: the
/// rest wait in the kernel.
pub(crate) async fn accept(
    listener: &TcpListener,
    connections: &mut Connections,
    service: &Arc<Service>,
) {
    let mut failing = false;
    let mut logged: Option<Instant> = None;
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, "cannot accept connections; trying again");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        failing = false;
        let permit = match connections.permits.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                if logged.is_none_or(|at| at.elapsed() >= FULL_INTERVAL) {
                    logged = Some(Instant::now());
                    tracing::warn!(
                        "all connections are taken; idle ones are closed for new clients (--max-connections)"
                    );
                }
                connections.room().await
            }
        };
        // A socket of both families reports an IPv4 client as ::ffff:192.0.2.1.
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        connections.open(stream, peer, service, permit);
    }
}
