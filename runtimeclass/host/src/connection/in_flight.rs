//! The number of requests in flight. A request is in flight until its response is handed to its connection.

use super::idle::Activity;
use super::streams::{note_sent, note_unsent};
use crate::answer::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

/// The number of requests in flight.
#[derive(Clone, Default)]
pub(crate) struct InFlight(Arc<AtomicUsize>);

/// One request in flight, until it is dropped.
pub(super) struct RequestGuard {
    in_flight: InFlight,
    activity: Arc<Activity>,
}

impl InFlight {
    pub(crate) fn now(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts a request until the returned guard is dropped.
    pub(super) fn begin(&self, activity: Arc<Activity>, has_body: bool) -> RequestGuard {
        self.0.fetch_add(1, Ordering::Relaxed);
        activity.begun(has_body);
        RequestGuard {
            in_flight: self.clone(),
            activity,
        }
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.in_flight.0.fetch_sub(1, Ordering::Relaxed);
        self.activity.ended();
    }
}

/// A response body. Its request is in flight until the body is dropped.
pub(super) struct CountedBody {
    body: Body,
    _guard: RequestGuard,
}

impl CountedBody {
    pub(super) fn new(body: Body, guard: RequestGuard) -> Self {
        Self {
            body,
            _guard: guard,
        }
    }
}

impl http_body::Body for CountedBody {
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
