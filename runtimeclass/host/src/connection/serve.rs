//! One connection, from its first byte to its end.

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

/// How long an idle client of HTTP/2 has to end its connection after the server has announced that it closes.
const GOODBYE: Duration = Duration::from_millis(100);

/// How far a server has come with its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// It serves.
    Serving,
    /// It answers what comes on the connections it has. HTTP/2 can tell its clients to take another connection.
    Draining,
    /// It closes idle connections, too.
    Closing,
}

/// Which responses close their connections.
#[derive(Default)]
pub(super) struct Closing {
    /// All: the server drains.
    pub(super) all: AtomicBool,
    /// The next one: a client waits for a connection.
    pub(super) next: AtomicBool,
}

impl Closing {
    /// Returns whether the response that is made now is one of them.
    pub(super) fn this_one(&self) -> bool {
        self.all.load(Ordering::Relaxed) || self.next.swap(false, Ordering::Relaxed)
    }
}

/// Why a connection is closed.
#[derive(Debug)]
pub(super) enum Closed {
    /// It has ended by itself.
    Ended,
    /// A new client needs its place.
    ForRoom,
    /// The client took too long.
    Overdue(Overdue),
    /// The server stops.
    Stopped,
}

/// What a connection shares with the others of its server.
pub(super) struct Shared {
    pub(super) protocol: Arc<Protocol>,
    pub(super) patience: Patience,
    pub(super) requests: InFlight,
    pub(super) closing: Arc<Closing>,
    pub(super) stage: watch::Receiver<Stage>,
    pub(super) linger: Duration,
}

/// Serves one connection, whatever it is made of, until it ends.
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
            // Nothing was asked, so there is nobody to report to.
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

/// Counts each request, and closes the connections whose responses are to close them.
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

/// Drives a connection to its end, and closes it in order if the end is not its own. `linger` is how long an idle client
/// of HTTP/2 is waited for when the server stops. HTTP/1 closes idle connections without a word.
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

/// Drives a connection that has begun to close until it ends, or until it holds no request and, if a time is given, no
/// byte has moved for that time: a client of HTTP/2 may never acknowledge that its connection is closed.
async fn close<C: GracefulConnection<Error = hyper::Error>>(
    mut connection: Pin<&mut C>,
    activity: &Activity,
    quiet: Option<Duration>,
) -> Result<(), hyper::Error> {
    // Sends what announces the end.
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

/// Drives a connection until it ends, which is `Ok`, or is to be closed: because its client is overdue, because it is
/// idle when it is asked, or because the server has come to the stage `last`.
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
            () = activity.asked() => {}
            _ = &mut stopped => return Err(Closed::Stopped),
        }
        // What has arrived by now is read first, and a request that is in it is answered.
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

/// Drives a connection, keeps its seat as it is, and ends when the client is overdue.
///
/// `timer` is set again only when it would ring too late. For a busy connection it rings for nothing now and then,
/// which costs less than to set it with each request.
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
