//! Connections: how many there are, what a client may take its time with, and how they end.
//!
//! A client can hold a connection only by using it: the head of a request, the pause between two and a pause within
//! a body have limits of their own, and a client that does not read its response is dropped.

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
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;

/// How long a client may leave its response unread.
const WRITE_STALL: Duration = Duration::from_secs(30);
/// How long accepting pauses after an error like "too many open files", which ends only when a connection does.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
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
    draining: Arc<AtomicBool>,
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
            draining: Arc::default(),
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
        self.draining.store(true, Ordering::Relaxed);
        let lingered = tokio::time::timeout(self.linger, ended(&mut self.tasks)).await;
        if lingered.is_err() {
            self.graceful.shutdown().await;
            ended(&mut self.tasks).await;
        }
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
        let requests = self.requests.clone();
        let draining = self.draining.clone();
        let answer = service_fn(move |request| {
            let (answer, request_count) = (answer(request), requests.count());
            let draining = draining.clone();
            async move {
                let mut answer = answer.await;
                if draining.load(Ordering::Relaxed) {
                    let close = HeaderValue::from_static("close");
                    answer.headers_mut().insert(CONNECTION, close);
                }
                Ok::<_, Infallible>(answer.map(|body| Counted {
                    body,
                    _count: request_count,
                }))
            }
        });
        let connection = self
            .protocol
            .serve_connection(TokioIo::new(Box::pin(stream)), answer);
        let connection = self.graceful.watch(connection);
        self.tasks.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%peer, %error, "a connection ended with an error");
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

/// Accepts connections for ever, one more only while there are fewer than allowed: the rest wait in the kernel.
pub(crate) async fn accept(
    listener: &TcpListener,
    connections: &mut Connections,
    service: &Arc<Service>,
) {
    let mut failing = false;
    loop {
        let permit = connections.permits.clone().acquire_owned().await;
        let permit = permit.expect("the semaphore is never closed");
        match listener.accept().await {
            Ok((stream, peer)) => {
                failing = false;
                connections.open(stream, peer, service, permit);
            }
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, "cannot accept connections; trying again");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Counts requests in flight.
#[derive(Clone, Default)]
pub(crate) struct Counter(Arc<AtomicUsize>);

/// One request in flight.
struct Count(Counter);

impl Counter {
    pub(crate) fn now(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn count(&self) -> Count {
        self.0.fetch_add(1, Ordering::Relaxed);
        Count(self.clone())
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
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
