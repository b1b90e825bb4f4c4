//! The streams that a component gets.

use super::{Chunk, GUEST_BYTES, Output, State};
use bytes::Bytes;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::MutexGuard;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

/// The longest write.
const CHUNK_BYTES: usize = 8 << 10;

/// How many bytes wait at most after a write of WASI 0.2: room that was seen may be taken by other streams before the write.
/// Only a component that asks 56 streams for room, and then writes to all of them, meets this limit.
const EXCESS_BYTES: usize = GUEST_BYTES + 56 * CHUNK_BYTES;

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        self.is_terminal
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(*self)
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(*self)
    }
}

/// Streams of WASI 0.3.
impl AsyncWrite for Output {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.queue.state();
        ready!(state.poll_room(cx.waker()));
        if let Some(error) = state.error.take() {
            return Poll::Ready(Err(error));
        }
        let bytes = &bytes[..bytes.len().min(CHUNK_BYTES)];
        let chunk = Chunk::Guest(Bytes::copy_from_slice(bytes));
        self.queue.push(state, chunk);
        Poll::Ready(Ok(bytes.len()))
    }

    /// Output that is queued outlives the component.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Streams of WASI 0.2. `AsyncWriteStream` of wasmtime would hand the output to a task, which ends with the instance.
#[wasmtime_wasi::async_trait]
impl OutputStream for Output {
    fn check_write(&mut self) -> StreamResult<usize> {
        let state = self.sound()?;
        Ok(if state.has_room() { CHUNK_BYTES } else { 0 })
    }

    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let state = self.sound()?;
        if bytes.len() > CHUNK_BYTES || state.bytes + bytes.len() > EXCESS_BYTES {
            let error = wasmtime::format_err!("a write to stdout or stderr without room");
            return Err(StreamError::Trap(error));
        }
        self.queue.push(state, Chunk::Guest(bytes));
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {
        poll_fn(|cx| self.queue.state().poll_room(cx.waker())).await
    }
}

impl Output {
    /// Returns the state, or the error of an earlier write.
    fn sound(&self) -> StreamResult<MutexGuard<'static, State>> {
        let mut state = self.queue.state();
        match state.error.take() {
            None => Ok(state),
            Some(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(StreamError::Closed),
            Some(error) => Err(StreamError::LastOperationFailed(error.into())),
        }
    }
}
