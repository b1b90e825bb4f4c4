//! Connections: their number, the time that a client has for each step, and their end.
//!
//! A client can hold a connection only by using it. The head of a request, the pause between two requests and a pause
//! within a body have limits of their own, and a client that does not read its response is dropped. When all connections
//! are taken, the one that has been idle longest is closed for a new client, such as a health probe.
//!
//! - [`idle`]: which connections are idle, and since when
//! - [`stream`]: the HTTP version of a client, and whether it reads its responses
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
use crate::limits::Limits;
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
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long a client may leave its response unread.
const WRITE_STALL: Duration = Duration::from_secs(30);
/// How long accepting pauses after an error like "too many open files", which lasts until a connection ends.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The shortest time between two log lines about all connections being taken.
const FULL_INTERVAL: Duration = Duration::from_secs(60);
/// How long connections are still served when the server drains. If a connection is closed while a request is on its way,
/// the client gets no answer; if the response has `connection: close`, the client opens another connection.
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
            permits: Arc::new(Semaphore::new(limits.max_connections())),
            stage: watch::Sender::new(Stage::Serving),
            tasks: JoinSet::new(),
            requests: InFlight::default(),
            idle: Idle::default(),
            closing: Arc::default(),
            // Time must remain to close what is idle.
            linger: LINGER.min(limits.drain_timeout / 2),
        }
    }

    /// Returns the number of requests whose response is not sent yet.
    pub(crate) fn requests(&self) -> usize {
        self.requests.now()
    }

    pub(crate) fn requests_in_flight(&self) -> InFlight {
        self.requests.clone()
    }

    /// Waits until every request in flight is answered and every connection is closed. A connection in use closes with its
    /// next response, an idle one after [`LINGER`].
    pub(crate) async fn finish(mut self) {
        self.closing.all.store(true, Ordering::Relaxed);
        self.stage.send_replace(Stage::Draining);
        let lingered = tokio::time::timeout(self.linger, ended(&mut self.tasks)).await;
        if lingered.is_err() {
            self.stage.send_replace(Stage::Closing);
            ended(&mut self.tasks).await;
        }
    }

    /// Makes room for one more connection and waits for it. The connection that has been idle longest is closed, or one that
    /// gets its response.
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

    /// Accepts connections for ever, and serves each with `answer`. At most one more than allowed is accepted; it is served
    /// when there is room. The others wait in the kernel.
    pub(crate) async fn accept<F>(
        &mut self,
        listener: &TcpListener,
        answer: impl Fn(Request<Incoming>, SocketAddr) -> F + Clone + Send + 'static,
    ) where
        F: Future<Output = Answer> + Send + 'static,
    {
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
            let permit = match self.permits.clone().try_acquire_owned() {
                Ok(permit) => permit,
                Err(_) => {
                    if logged.is_none_or(|at| at.elapsed() >= FULL_INTERVAL) {
                        logged = Some(Instant::now());
                        tracing::warn!(
                            "all connections are taken; idle ones are closed for new clients (--max-connections)"
                        );
                    }
                    self.room().await
                }
            };
            // A socket of both families reports an IPv4 client as ::ffff:192.0.2.1.
            let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
            // Otherwise the second write of a response waits 40 ms for the client's delayed acknowledgement.
            let _ = stream.set_nodelay(true);
            let answer = answer.clone();
            self.serve(stream, peer, permit, move |request| answer(request, peer));
        }
    }

    /// Serves one connection on any kind of stream until it ends.
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
        // Drops the results of connections that have ended.
        while self.tasks.try_join_next().is_some() {}
    }
}

async fn ended(tasks: &mut JoinSet<()>) {
    while tasks.join_next().await.is_some() {}
}
