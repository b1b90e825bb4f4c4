//! Requests in flight: how many there are, and which responses a client of HTTP/2 leaves unread.

use super::idle::Activity;
use crate::answer::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

/// Counts requests in flight.
#[derive(Clone, Default)]
pub(crate) struct Counter(Arc<AtomicUsize>);

/// One request in flight.
pub(super) struct Count {
    counter: Counter,
    activity: Arc<Activity>,
}

impl Counter {
    pub(crate) fn now(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn count(&self, activity: Arc<Activity>) -> Count {
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
pub(super) struct Counted {
    body: Body,
    count: Count,
    /// The number under which the last piece waits to be sent. In HTTP/2 a body is polled only when the client has
    /// room for more, so the time until the next poll is the client's.
    unsent: Option<u64>,
    /// Whether the client decides by stream how much it takes, as in HTTP/2.
    by_stream: bool,
}

impl Counted {
    pub(super) fn new(body: Body, count: Count, version: http::Version) -> Self {
        Self {
            body,
            count,
            unsent: None,
            by_stream: version == http::Version::HTTP_2,
        }
    }

    fn sent(&mut self) {
        if let Some(piece) = self.unsent.take() {
            self.count.activity.sent(piece);
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.sent();
    }
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.sent();
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if self.by_stream && matches!(polled, Poll::Ready(Some(Ok(_)))) {
            self.unsent = Some(self.count.activity.unsent());
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
