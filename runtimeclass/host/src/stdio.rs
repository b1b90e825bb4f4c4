//! Stdout and stderr of this process, for components and for the log. A thread each writes what is given to it.
//!
//! The server and the components of WASI 0.3 share one thread. If that wrote to a pipe that nobody reads, such as a log while
//! containerd is down, nothing would be served any more. So it hands its output over:
//! - A component waits as a native program would, but alone: the output goes on, or its request's time runs out.
//! - The log does not wait. Its lines are dropped, and counted, while [`LOG_BYTES`] wait.

mod guest;
#[cfg(feature = "logs")]
mod log;

use anyhow::{Context, Result};
use bytes::Bytes;
use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::task::{Poll, Waker};

/// How many bytes wait at most when a component may write more.
const GUEST_BYTES: usize = 64 << 10;

/// How many bytes wait at most when the log may write more. What components write can never fill it, so they cannot keep
/// the log out.
#[cfg(feature = "logs")]
const LOG_BYTES: usize = 1 << 20;

static STDOUT: Queue = Queue::new();
static STDERR: Queue = Queue::new();

/// Returns this process's stdout.
///
/// # Errors
/// When its thread cannot be started.
pub(crate) fn stdout() -> Result<Output> {
    STDOUT.start("stdout", io::stdout)?;
    Ok(Output {
        queue: &STDOUT,
        is_terminal: io::stdout().is_terminal(),
    })
}

/// Returns this process's stderr.
///
/// # Errors
/// When its thread cannot be started.
pub(crate) fn stderr() -> Result<Output> {
    STDERR.start("stderr", io::stderr)?;
    Ok(Output {
        queue: &STDERR,
        is_terminal: io::stderr().is_terminal(),
    })
}

/// Waits until all output is written, or `limit` has passed. Called before the process ends.
#[cfg(feature = "cli")]
pub(crate) fn flush(limit: std::time::Duration) {
    let end = std::time::Instant::now() + limit;
    for queue in [&STDOUT, &STDERR] {
        queue.flush(end.saturating_duration_since(std::time::Instant::now()));
    }
}

/// Where output goes: what is written is queued.
#[derive(Clone, Copy)]
pub(crate) struct Output {
    queue: &'static Queue,
    is_terminal: bool,
}

/// Output on its way to the thread that writes it.
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Clone)]
enum Chunk {
    Guest(Bytes),
    #[cfg(feature = "logs")]
    Log(Bytes),
}

struct State {
    /// The first one is being written.
    chunks: VecDeque<Chunk>,
    /// The bytes of all chunks.
    bytes: usize,
    /// Why a component's last chunk was not written. Its next write gets it.
    error: Option<io::Error>,
    /// How many lines of the log were dropped since the last report.
    dropped: u64,
    /// Those who wait until there is room.
    waiting: Vec<Waker>,
    started: bool,
}

impl Queue {
    const fn new() -> Self {
        Self {
            state: Mutex::new(State {
                chunks: VecDeque::new(),
                bytes: 0,
                error: None,
                dropped: 0,
                waiting: Vec::new(),
                started: false,
            }),
            changed: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }

    /// Starts the thread, unless it runs.
    fn start<W: Write + 'static>(&'static self, name: &str, target: fn() -> W) -> Result<()> {
        let mut state = self.state();
        if !state.started {
            let thread = std::thread::Builder::new().name(name.to_owned());
            thread
                .spawn(move || self.write(target()))
                .with_context(|| format!("cannot start the thread that writes to {name}"))?;
            state.started = true;
        }
        Ok(())
    }

    /// Writes what is queued, for ever.
    fn write(&self, mut target: impl Write) {
        loop {
            let chunk = {
                let idle = |state: &mut State| state.chunks.is_empty();
                let state = self.changed.wait_while(self.state(), idle);
                state.expect("no holder panics").chunks[0].clone()
            };
            let bytes = chunk.bytes();
            let written = target.write_all(bytes).and_then(|()| target.flush());
            let dropped = self.state().written(written.err());
            self.changed.notify_all();
            if dropped > 0 {
                tracing::warn!(
                    lines = dropped,
                    "lines of the log were dropped: nobody read them"
                );
            }
        }
    }

    fn push(&self, mut state: MutexGuard<'_, State>, chunk: Chunk) {
        state.bytes += chunk.bytes().len();
        state.chunks.push_back(chunk);
        self.changed.notify_all();
    }

    #[cfg(feature = "cli")]
    fn flush(&self, limit: std::time::Duration) {
        let busy = |state: &mut State| !state.chunks.is_empty();
        let flushed = self.changed.wait_timeout_while(self.state(), limit, busy);
        drop(flushed.expect("no holder panics"));
    }
}

impl Chunk {
    fn bytes(&self) -> &Bytes {
        match self {
            Self::Guest(bytes) => bytes,
            #[cfg(feature = "logs")]
            Self::Log(bytes) => bytes,
        }
    }
}

impl State {
    /// Notes that the first chunk was written, or why not. Returns how many lines of the log were dropped before.
    fn written(&mut self, error: Option<io::Error>) -> u64 {
        let chunk = self.chunks.pop_front().expect("it was being written");
        self.bytes -= chunk.bytes().len();
        // A line of the log that is lost is no error of a component.
        if matches!(chunk, Chunk::Guest(_)) {
            self.error = error;
        }
        if self.has_room() {
            self.waiting.drain(..).for_each(Waker::wake);
        }
        std::mem::take(&mut self.dropped)
    }

    /// Whether a component may write.
    fn has_room(&self) -> bool {
        self.bytes < GUEST_BYTES
    }

    /// Waits until a component may write.
    fn poll_room(&mut self, waker: &Waker) -> Poll<()> {
        if self.has_room() {
            return Poll::Ready(());
        }
        if !self.waiting.iter().any(|it| it.will_wake(waker)) {
            self.waiting.push(waker.clone());
        }
        Poll::Pending
    }
}
