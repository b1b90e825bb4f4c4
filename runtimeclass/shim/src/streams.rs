//! The server's side of a process's standard streams: open pipes, or a terminal. It is there from before the process
//! exists until the process has ended.

use crate::request::Stdio;
use crate::stdio;
use crate::terminal::{Pipes, Terminal};
use anyhow::{Context, Result};
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// The streams of a process.
pub(crate) struct Streams {
    held: Mutex<Held>,
    terminal: OnceLock<Terminal>,
}

/// The open ends of the streams.
#[derive(Default)]
struct Held {
    _outputs: Vec<OwnedFd>,
    input: Option<OwnedFd>,
    /// The pipes of a terminal that does not exist yet.
    pipes: Option<Pipes>,
    /// Whether the process has opened its own ends. Before that, closing the input would lose the bytes in the pipe.
    connected: bool,
    /// Whether a close of the input was requested.
    closed: bool,
}

impl Streams {
    /// Opens the server's ends, before the process exists.
    pub(crate) fn open(stdio: &Stdio, terminal: bool) -> Result<Self> {
        let held = if terminal {
            Held {
                pipes: Some(Pipes::open(stdio)?),
                ..Held::default()
            }
        } else {
            Held {
                _outputs: stdio::hold_outputs(stdio)?,
                input: stdio::hold_input(stdio)?,
                ..Held::default()
            }
        };
        Ok(Self {
            held: Mutex::new(held),
            terminal: OnceLock::new(),
        })
    }

    /// Records that the process exists and has opened its ends, or takes the terminal that was created for it.
    pub(crate) fn connect(&self, master: Option<OwnedFd>) -> Result<()> {
        let mut held = self.lock();
        if let Some(pipes) = held.pipes.take() {
            let master = master.context("the process has no terminal")?;
            let _ = self.terminal.set(Terminal::connect(master, pipes)?);
        }
        held.connected = true;
        let closed = held.closed;
        drop(held);
        if closed {
            self.close_input();
        }
        Ok(())
    }

    /// Closes the input, at once or as soon as the process has opened it. A terminal hangs up.
    pub(crate) fn close_input(&self) {
        let mut held = self.lock();
        held.closed = true;
        if held.connected {
            held.input = None;
            if let Some(terminal) = self.terminal.get() {
                terminal.hang_up();
            }
        }
    }

    /// Sets the terminal's size in characters. Without a terminal it does nothing, like other shims.
    pub(crate) fn resize(&self, columns: u32, rows: u32) -> Result<()> {
        match self.terminal.get() {
            Some(terminal) => terminal.resize(columns, rows),
            None => Ok(()),
        }
    }

    /// Waits until the last output of an ended process has been copied, and closes all ends.
    pub(crate) async fn finish(&self) {
        if let Some(terminal) = self.terminal.get() {
            terminal.drain().await;
        }
        *self.lock() = Held {
            connected: true,
            ..Held::default()
        };
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
