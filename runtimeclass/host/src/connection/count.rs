//! Requests in flight: how many there are, until each response is handed over to its connection.

use super::idle::Activity;
use super::streams::{note_sent, note_unsent};
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

    /// Counts a request until the result is dropped.
    pub(super) fn count(&self, activity: Arc<Activity>, has_body: bool) -> Count {
        self.0.fetch_add(1, Ordering::Relaxed);
        activity.begun(has_body);
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
    _count: Count,
}

impl Counted {
    pub(super) fn new(body: Body, count: Count) -> Self {
        Self {
            body,
            _count: count,
        }
    }
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        note_sent();
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(polled, Poll::Ready(Some(Ok(_)))) {
            note_unsent();
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
