//! The server's side of a process's standard streams, from before the process exists until it has ended: held pipes,
//! or a terminal.

use crate::request::Stdio;
use crate::stdio;
use crate::terminal::{Pipes, Terminal};
use anyhow::{Context, Result};
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// A process's streams.
pub(crate) struct Streams {
    held: Mutex<Held>,
    terminal: OnceLock<Terminal>,
}

/// What is open of them.
#[derive(Default)]
struct Held {
    _outputs: Vec<OwnedFd>,
    input: Option<OwnedFd>,
    /// Of a terminal that is not there yet.
    pipes: Option<Pipes>,
    /// Whether the process has its own ends. Before that, closing the input would lose what is in the pipe.
    connected: bool,
    /// Whether the input is to be closed.
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

    /// Notes that the process exists and has opened its ends, or takes the terminal that was made for it.
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

    /// Ends the input, at once or when the process has opened it. A terminal hangs up.
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

    /// Sets the terminal's size in characters. Does nothing if there is no terminal, as other shims do.
    pub(crate) fn resize(&self, columns: u32, rows: u32) -> Result<()> {
        match self.terminal.get() {
            Some(terminal) => terminal.resize(columns, rows),
            None => Ok(()),
        }
    }

    /// Waits for the last output of the process, which has ended, and closes everything.
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
