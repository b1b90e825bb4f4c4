//! The streams of an HTTP/2 connection, a task each, so that a response that is left unread costs only its own stream.
//!
//! A body of HTTP/2 is polled only when its client has room for more. The time between two polls is then the client's,
//! and the body itself could not end it: its task does.

use hyper::rt::Executor;
use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use tokio::time::{Instant, sleep};

tokio::task_local! {
    /// Since when the task's stream has had a piece of a response that its client has no room for.
    static UNSENT: Cell<Option<Instant>>;
}

/// Notes that the current stream has a piece of a response to send. Does nothing in HTTP/1.
pub(super) fn note_unsent() {
    let _ = UNSENT.try_with(|unsent| unsent.set(Some(Instant::now())));
}

/// Notes that the client had room for the last piece.
pub(super) fn note_sent() {
    let _ = UNSENT.try_with(|unsent| unsent.set(None));
}

/// Runs streams. One whose client has no room for a piece of its response for `unread` is dropped, which resets it.
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
