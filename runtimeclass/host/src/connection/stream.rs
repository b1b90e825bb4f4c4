//! The stream of a connection: detects the version of HTTP, and records when the client sends bytes and takes them.

use super::idle::Activity;
use std::future::poll_fn;
use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The bytes that an HTTP/2 client sends first (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The major version of HTTP that a client uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Http1,
    Http2,
}

/// The stream of one connection.
pub(super) struct Noting<S> {
    stream: S,
    activity: Arc<Activity>,
    /// The first bytes. They are read once to detect the version, and again by the protocol.
    first: [u8; PREFACE.len()],
    filled: usize,
    replayed: usize,
}

impl<S> Noting<S> {
    pub(super) fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self {
            stream,
            activity,
            first: [0; PREFACE.len()],
            filled: 0,
            replayed: 0,
        }
    }

    fn note(&self, sent: Poll<Result<usize>>) -> Poll<Result<usize>> {
        self.activity.set_unsent(sent.is_pending());
        if let Poll::Ready(Ok(bytes)) = &sent {
            self.activity.sent(*bytes);
        }
        sent
    }
}

impl<S: AsyncRead + Unpin> Noting<S> {
    /// Waits until the client has sent enough bytes to detect its version. The protocol reads the same bytes again.
    pub(super) async fn version(&mut self) -> Result<Version> {
        poll_fn(|cx| {
            while self.filled < PREFACE.len() {
                let mut buffer = ReadBuf::new(&mut self.first[self.filled..]);
                ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
                let read = buffer.filled().len();
                if read > 0 {
                    self.activity.heard(read);
                }
                self.filled += read;
                let matching = self.first[..self.filled] == PREFACE[..self.filled];
                if read == 0 || !matching {
                    return Poll::Ready(Ok(Version::Http1));
                }
            }
            Poll::Ready(Ok(Version::Http2))
        })
        .await
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Noting<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let this = &mut *self;
        if this.replayed < this.filled {
            let rest = &this.first[this.replayed..this.filled];
            let piece = rest.len().min(buffer.remaining());
            buffer.put_slice(&rest[..piece]);
            this.replayed += piece;
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buffer);
        let read = buffer.filled().len() - before;
        if read > 0 {
            this.activity.heard(read);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Noting<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        let sent = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note(sent)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let sent = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.note(sent)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
