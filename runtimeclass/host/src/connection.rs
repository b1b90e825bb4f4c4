//! Connections: how many there are, what a client may take its time with, and how they end.
//!
//! A client can hold a connection only by using it: the head of a request, the pause between two and a pause within
//! a body have limits of their own, and a client that does not read its response is dropped. When all connections are
//! taken, the one that has been idle longest is closed for a new client: a health probe is such a client, too.
//!
//! - [`idle`]: which connections are idle, and since when
//! - [`stream`]: whether a client takes what it is sent

mod idle;
mod stream;
#[cfg(test)]
mod tests;

use crate::answer::{Answer, Body};
use crate::server::Service;
use crate::settings::Limits;
use bytes::Bytes;
use http::Request;
use http::header::{CONNECTION, HeaderValue};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use idle::{Activity, Idle, Seat};
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use stream::Noting;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_io_timeout::TimeoutStream;

/// How long a client may leave its response unread.
const WRITE_STALL: Duration = Duration::from_secs(30);
/// How long accepting pauses after an error like "too many open files", which ends only when a connection does.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often the log may say that all connections are taken.
const FULL_INTERVAL: Duration = Duration::from_secs(60);
/// How long a connection is still served when the server drains. A client whose next request is on its way while an
/// idle connection is closed gets no answer; one that is answered with `connection: close` takes another connection.
const LINGER: Duration = Duration::from_secs(2);
/// hyper's smallest buffer; larger heads get a larger one.
const LEAST_BUFFER: usize = 8 << 10;
/// Headers in a request.
const HEADERS: usize = 100;

/// The open connections of a server.
pub(crate) struct Connections {
    protocol: http1::Builder,
    permits: Arc<Semaphore>,
    graceful: GracefulShutdown,
    /// Aborted on drop.
    tasks: JoinSet<()>,
    requests: Counter,
    idle: Idle,
    closing: Arc<Closing>,
    linger: Duration,
}

impl Connections {
    pub(crate) fn new(limits: &Limits) -> Self {
        let mut protocol = http1::Builder::new();
        protocol
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_timeout)
            .max_buf_size(limits.header_size.max(LEAST_BUFFER))
            .max_header_size(limits.header_size)
            .max_headers(HEADERS)
            .keep_alive(true);
        Self {
            protocol,
            permits: Arc::new(Semaphore::new(limits.connections)),
            graceful: GracefulShutdown::new(),
            tasks: JoinSet::new(),
            requests: Counter::default(),
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

    pub(crate) fn requests_counter(&self) -> Counter {
        self.requests.clone()
    }

    /// Lets every request in flight be answered and closes every connection: one that is in use with its next answer,
    /// one that is idle after a while; and waits for all.
    pub(crate) async fn finish(mut self) {
        self.closing.all.store(true, Ordering::Relaxed);
        let lingered = tokio::time::timeout(self.linger, ended(&mut self.tasks)).await;
        if lingered.is_err() {
            self.graceful.shutdown().await;
            ended(&mut self.tasks).await;
        }
    }

    /// Waits until there is room for one more connection, and makes some: by closing the one that has been idle
    /// longest, or one that holds a request with its response.
    async fn room(&self) -> OwnedSemaphorePermit {
        let mut permit = pin!(self.permits.clone().acquire_owned());
        let permit = loop {
            self.closing.next.store(true, Ordering::Relaxed);
            let too_early = self.idle.ask_longest();
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
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(WRITE_STALL));
        let activity = Arc::new(Activity::default());
        let stream = Noting::new(Box::pin(stream), activity.clone());
        let seat = self.idle.seat(activity.clone());
        let requests = self.requests.clone();
        let closing = self.closing.clone();
        let answer = service_fn(move |request| {
            let request_count = requests.count(activity.clone());
            let answer = answer(request);
            let closing = closing.clone();
            async move {
                let mut answer = answer.await;
                if closing.this_one() {
                    let close = HeaderValue::from_static("close");
                    answer.headers_mut().insert(CONNECTION, close);
                }
                Ok::<_, Infallible>(answer.map(|body| Counted {
                    body,
                    _count: request_count,
                }))
            }
        });
        let connection = self.protocol.serve_connection(TokioIo::new(stream), answer);
        let connection = self.graceful.watch(connection);
        self.tasks.spawn(async move {
            match until_closed(connection, seat).await {
                Ok(Closed::Ended) => {}
                Ok(Closed::ForRoom) => {
                    tracing::debug!(%peer, "closed an idle connection for a new one")
                }
                Err(error) => tracing::debug!(%peer, %error, "a connection ended with an error"),
            }
            drop(permit);
        });
        // The results of those that have ended.
        while self.tasks.try_join_next().is_some() {}
    }
}

/// Which responses close their connections.
#[derive(Default)]
struct Closing {
    /// All: the server drains.
    all: AtomicBool,
    /// The next one: a client waits for a connection.
    next: AtomicBool,
}

impl Closing {
    /// Returns whether the response that is made now is one of them.
    fn this_one(&self) -> bool {
        self.all.load(Ordering::Relaxed) || self.next.swap(false, Ordering::Relaxed)
    }
}

/// Why a connection is closed.
enum Closed {
    /// It has ended by itself.
    Ended,
    /// It was idle, and a new client needs its place.
    ForRoom,
}

/// Drives a connection until it ends, or is idle when it is asked to close; then drops it.
async fn until_closed<E>(
    connection: impl Future<Output = Result<(), E>>,
    mut seat: Seat,
) -> Result<Closed, E> {
    let mut connection = pin!(connection);
    let activity = seat.activity();
    loop {
        tokio::select! {
            biased;
            ended = driven(connection.as_mut(), &mut seat) => return ended.map(|()| Closed::Ended),
            () = activity.asked() => {}
        }
        // What has arrived by now is read first, and a request that is in it is answered.
        tokio::select! {
            biased;
            ended = driven(connection.as_mut(), &mut seat) => return ended.map(|()| Closed::Ended),
            () = tokio::task::yield_now() => {}
        }
        if activity.is_idle() {
            return Ok(Closed::ForRoom);
        }
        seat.stay();
    }
}

/// Drives a connection, and keeps its seat as it is.
async fn driven<C: Future>(mut connection: Pin<&mut C>, seat: &mut Seat) -> C::Output {
    poll_fn(|cx| {
        let poll = connection.as_mut().poll(cx);
        seat.settle();
        poll
    })
    .await
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
        connections.open(stream, peer, service, permit);
    }
}

/// Counts requests in flight.
#[derive(Clone, Default)]
pub(crate) struct Counter(Arc<AtomicUsize>);

/// One request in flight.
struct Count {
    counter: Counter,
    activity: Arc<Activity>,
}

impl Counter {
    pub(crate) fn now(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn count(&self, activity: Arc<Activity>) -> Count {
        self.0.fetch_add(1, Ordering::Relaxed);
        activity.begun();
        Count {
            counter: self.clone(),
            activity,
        }
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.counter.0.fetch_sub(1, Ordering::Relaxed);
        self.activity.ended();
    }
}

/// A response body whose request is in flight until the body is gone.
struct Counted {
    body: Body,
    _count: Count,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
