//! The body of a request on its way into a component.
//!
//! If a client stops sending, or sends so slowly that it only holds resources, its body is cut: the component receives
//! an error. Only the time spent waiting for the client counts. A small rest that the component leaves unread is read
//! and discarded, so that the connection can be kept.

#[cfg(test)]
mod tests;

use crate::watch::Progress;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::{Instant, Sleep};
use wasmtime_wasi_http::Error;

/// How long in total a client may be slower than [`MIN_RATE`].
const SLOW_START: Duration = Duration::from_secs(30);
/// Bytes per second that a client must reach over the whole body. A modem does; a client that trickles does not.
const MIN_RATE: u64 = 1024;
/// Maximum bytes of an unread body that are read and discarded to keep a connection, and the time limit for it.
const DRAINED: u64 = 64 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// A request's body.
pub(crate) struct RequestBody {
    /// `None` after the body has ended or was cut.
    incoming: Option<Incoming>,
    idle_limit: Duration,
    progress: Arc<Progress>,
    /// The runtime that drives the connection. The instance's own may be gone when the body is dropped.
    server: Handle,
    received: u64,
    /// How long the component has waited for the client in total, without the current wait.
    waited: Duration,
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl RequestBody {
    /// Returns the body. Must be called on the runtime that drives the connection.
    pub(crate) fn new(incoming: Incoming, idle_limit: Duration, progress: Arc<Progress>) -> Self {
        Self {
            incoming: Some(incoming),
            idle_limit,
            progress,
            server: Handle::current(),
            received: 0,
            waited: Duration::ZERO,
            waiting: None,
        }
    }

    /// Returns how long the client may take for its next piece.
    fn patience(&self) -> Duration {
        let earned = SLOW_START + Duration::from_secs(self.received / MIN_RATE);
        self.idle_limit.min(earned.saturating_sub(self.waited))
    }

    fn poll_slow(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let patience = self.patience();
        let (_, timer) = self.waiting.get_or_insert_with(|| {
            let now = Instant::now();
            self.progress.excuse_until((now + patience).into_std());
            (now, Box::pin(tokio::time::sleep(patience)))
        });
        timer.as_mut().poll(cx)
    }

    fn heard_from_client(&mut self) {
        if let Some((since, _)) = self.waiting.take() {
            self.waited += since.elapsed();
        }
        self.progress.touch();
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(incoming) = self.incoming.as_mut() else {
            return Poll::Ready(None);
        };
        match Pin::new(incoming).poll_frame(cx) {
            Poll::Ready(frame) => {
                self.heard_from_client();
                match &frame {
                    Some(Ok(frame)) => {
                        self.received += frame.data_ref().map_or(0, |data| data.len() as u64)
                    }
                    Some(Err(_)) | None => self.incoming = None,
                }
                Poll::Ready(frame.map(|frame| frame.map_err(Error::Hyper)))
            }
            Poll::Pending => {
                ready!(self.poll_slow(cx));
                self.heard_from_client();
                // Dropping it unread closes the connection, which is in the middle of a body.
                self.incoming = None;
                Poll::Ready(Some(Err(Error::ConnectionReadTimeout)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming
            .as_ref()
            .map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some(incoming) = self
            .incoming
            .take()
            .filter(|incoming| !incoming.is_end_stream())
            && incoming.size_hint().lower() <= DRAINED
        {
            self.server
                .spawn(tokio::time::timeout(DRAIN_TIME, drain(incoming)));
        }
    }
}

async fn drain(mut incoming: Incoming) {
    let mut left = DRAINED;
    while let Some(Ok(frame)) = incoming.frame().await {
        match left.checked_sub(frame.data_ref().map_or(0, |data| data.len() as u64)) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}
