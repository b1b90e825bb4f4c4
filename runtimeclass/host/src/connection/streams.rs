//! The streams of an HTTP/2 connection. Each is a task, so that an unread response costs only its own stream.
//!
//! An HTTP/2 body is polled only when its client has room for more, so the time between two polls depends on the
//! client. The body cannot limit that time itself, so its task does.

use hyper::rt::Executor;
use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use tokio::time::{Instant, sleep};

tokio::task_local! {
    /// Since when the task's stream has had a piece of a response for which its client has no room.
    static UNSENT: Cell<Option<Instant>>;
}

/// Notes that the current stream has a piece of a response to send. Does nothing for HTTP/1.
pub(super) fn note_unsent() {
    let _ = UNSENT.try_with(|unsent| unsent.set(Some(Instant::now())));
}

/// Notes that the client had room for the last piece.
pub(super) fn note_sent() {
    let _ = UNSENT.try_with(|unsent| unsent.set(None));
}

/// Runs streams. A stream is dropped, which resets it, if its client has no room for a piece of its response for
/// `unread`.
#[derive(Clone)]
pub(super) struct Streams {
    pub(super) unread: Duration,
}

impl<F: Future + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        tokio::spawn(UNSENT.scope(Cell::new(None), limited(stream, self.unread)));
    }
}

async fn limited<F: Future>(stream: F, unread: Duration) {
    let mut stream = pin!(stream);
    let mut timer = pin!(sleep(unread));
    poll_fn(|cx| {
        if stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let Some(since) = UNSENT.with(Cell::get) else {
            return Poll::Pending;
        };
        if timer.deadline() != since + unread {
            timer.as_mut().reset(since + unread);
        }
        timer.as_mut().poll(cx)
    })
    .await;
}
