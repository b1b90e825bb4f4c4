//! Serves one connection, from its first byte to its end.

use super::idle::{Activity, Overdue, Patience, Seat};
use super::in_flight::{CountedBody, InFlight};
use super::protocol::Protocol;
use super::stream::{Noting, Version};
use crate::answer::Answer;
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulConnection;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_io_timeout::TimeoutStream;

/// How long an idle HTTP/2 client has to close its connection after the server has sent GOAWAY.
const GOODBYE: Duration = Duration::from_millis(100);

/// A server's progress towards its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// The server accepts connections and serves them.
    Serving,
    /// The server answers requests on open connections. HTTP/2 clients receive GOAWAY.
    Draining,
    /// The server also closes idle connections.
    Closing,
}

/// Which responses close their connections.
#[derive(Default)]
pub(super) struct Closing {
    /// All of them, because the server drains.
    pub(super) all: AtomicBool,
    /// The next one, because a client waits for a connection.
    pub(super) next: AtomicBool,
}

impl Closing {
    /// Returns whether the response that is being made closes its connection. This uses up [`Closing::next`].
    pub(super) fn this_one(&self) -> bool {
        self.all.load(Ordering::Relaxed) || self.next.swap(false, Ordering::Relaxed)
    }
}

/// The reason why a connection was closed.
#[derive(Debug)]
pub(super) enum Closed {
    /// The connection ended by itself.
    Ended,
    /// A new client needs its permit.
    ForRoom,
    /// The client took too long.
    Overdue(Overdue),
    /// The server stops.
    Stopped,
}

/// The state that a connection shares with the others of its server.
pub(super) struct Shared {
    pub(super) protocol: Arc<Protocol>,
    pub(super) patience: Patience,
    pub(super) requests: InFlight,
    pub(super) closing: Arc<Closing>,
    pub(super) stage: watch::Receiver<Stage>,
    pub(super) linger: Duration,
}

/// Serves one connection on any stream until it ends.
pub(super) async fn serve<S, F>(
    stream: S,
    activity: Arc<Activity>,
    mut seat: Seat,
    shared: Shared,
    answer: impl Fn(Request<Incoming>) -> F + Send + 'static,
) -> Result<Closed, hyper::Error>
where
    S: AsyncRead + AsyncWrite + Send + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(shared.patience.unread));
    let mut stream = Noting::new(Box::pin(stream), activity.clone());
    let mut stage = shared.stage.clone();
    let version = {
        let version = pin!(stream.version());
        match until_closed(version, &mut seat, &mut stage, Stage::Draining).await {
            Ok(Ok(version)) => version,
            // No request was sent, so the error is not worth a log line.
            Ok(Err(_)) => return Ok(Closed::Ended),
            Err(closed) => return Ok(closed),
        }
    };
    let (protocol, linger) = (shared.protocol.clone(), shared.linger);
    let service = service(answer, activity, shared);
    match version {
        Version::Http1 => {
            let connection = protocol.http1(TokioIo::new(stream), service);
            let connection = pin!(connection);
            drive(connection, &mut seat, &mut stage, Stage::Closing, None).await
        }
        Version::Http2 => {
            seat.speaks_http2();
            let connection = protocol.http2(TokioIo::new(stream), service);
            let connection = pin!(connection);
            drive(
                connection,
                &mut seat,
                &mut stage,
                Stage::Draining,
                Some(linger),
            )
            .await
        }
    }
}

/// Returns a service that counts each request and marks the responses that close their connections.
fn service<F>(
    answer: impl Fn(Request<Incoming>) -> F + Send + 'static,
    activity: Arc<Activity>,
    shared: Shared,
) -> impl Service<
    Request<Incoming>,
    Response = Response<CountedBody>,
    Error = Infallible,
    Future: Send + 'static,
> + Send
where
    F: Future<Output = Answer> + Send + 'static,
{
    let Shared {
        requests, closing, ..
    } = shared;
    service_fn(move |request: Request<Incoming>| {
        let version = request.version();
        let has_body = version == http::Version::HTTP_2 || !request.body().is_end_stream();
        let guard = requests.begin(activity.clone(), has_body);
        let answer = answer(request);
        let (closing, activity) = (closing.clone(), activity.clone());
        async move {
            let mut answer = answer.await;
            if closing.this_one() {
                if version == http::Version::HTTP_2 {
                    activity.leave();
                } else {
                    let close = HeaderValue::from_static("close");
                    answer.headers_mut().insert(CONNECTION, close);
                }
            }
            Ok(answer.map(|body| CountedBody::new(body, guard)))
        }
    })
}

/// Drives a connection to its end, and shuts it down gracefully when the server closes it.
///
/// When the server stops, an idle HTTP/2 client is given `linger` to close its connection. HTTP/1 has no such
/// announcement, so `linger` is `None` and idle connections are closed at once.
async fn drive<C: GracefulConnection<Error = hyper::Error>>(
    mut connection: Pin<&mut C>,
    seat: &mut Seat,
    stage: &mut watch::Receiver<Stage>,
    last: Stage,
    linger: Option<Duration>,
) -> Result<Closed, hyper::Error> {
    let closed = match until_closed(connection.as_mut(), seat, stage, last).await {
        Ok(ended) => return ended.map(|()| Closed::Ended),
        Err(closed) => closed,
    };
    connection.as_mut().graceful_shutdown();
    let quiet = match closed {
        Closed::Stopped => linger,
        _ => linger.map(|_| GOODBYE),
    };
    close(connection, &seat.activity(), quiet).await?;
    Ok(closed)
}

/// Drives a connection after its graceful shutdown has begun.
///
/// Returns when the connection ends. Otherwise returns when it holds no request and, if `quiet` is given, no byte has
/// moved for that time, because an HTTP/2 client may never acknowledge GOAWAY.
async fn close<C: GracefulConnection<Error = hyper::Error>>(
    mut connection: Pin<&mut C>,
    activity: &Activity,
    quiet: Option<Duration>,
) -> Result<(), hyper::Error> {
    // Sends GOAWAY.
    if let Ok(ended) = timeout(Duration::ZERO, connection.as_mut()).await {
        return ended;
    }
    loop {
        if quiet.is_none() && activity.is_idle() {
            return Ok(());
        }
        let moved = activity.moved();
        match timeout(quiet.unwrap_or(GOODBYE), connection.as_mut()).await {
            Ok(ended) => return ended,
            Err(_) if activity.is_idle() && activity.moved() == moved => return Ok(()),
            Err(_) => {}
        }
    }
}

/// Drives a connection until it ends, which is `Ok`, or until it is to be closed.
///
/// It is closed when its client is overdue, when its close was requested and it may close, or when the server reaches
/// the stage `last`.
async fn until_closed<C: Future>(
    mut connection: Pin<&mut C>,
    seat: &mut Seat,
    stage: &mut watch::Receiver<Stage>,
    last: Stage,
) -> Result<C::Output, Closed> {
    let activity = seat.activity();
    let mut timer = pin!(sleep(Duration::ZERO));
    let mut stopped = pin!(stage.wait_for(|stage| *stage >= last));
    loop {
        tokio::select! {
            biased;
            ended = driven(connection.as_mut(), seat, timer.as_mut()) => {
                return ended.map_err(Closed::Overdue);
            }
            () = activity.close_requested() => {}
            _ = &mut stopped => return Err(Closed::Stopped),
        }
        // Reads first what has arrived by now, so that a request among it is answered.
        tokio::select! {
            biased;
            ended = driven(connection.as_mut(), seat, timer.as_mut()) => {
                return ended.map_err(Closed::Overdue);
            }
            () = tokio::task::yield_now() => {}
        }
        if activity.may_close() {
            return Err(Closed::ForRoom);
        }
        seat.stay();
    }
}

/// Drives a connection and updates its seat. Fails when the client is overdue.
///
/// `timer` is reset only if it would fire too late. On a busy connection it sometimes fires early, which costs less
/// than a reset for each request.
async fn driven<C: Future>(
    mut connection: Pin<&mut C>,
    seat: &mut Seat,
    mut timer: Pin<&mut Sleep>,
) -> Result<C::Output, Overdue> {
    poll_fn(|cx| {
        let polled = connection.as_mut().poll(cx);
        seat.settle();
        if let Poll::Ready(output) = polled {
            return Poll::Ready(Ok(output));
        }
        loop {
            let Some((due, what)) = seat.due() else {
                return Poll::Pending;
            };
            if due <= Instant::now() {
                return Poll::Ready(Err(what));
            }
            if timer.is_elapsed() || due < timer.deadline() {
                timer.as_mut().reset(due);
            }
            ready!(timer.as_mut().poll(cx));
        }
    })
    .await
}
