//! The server's side of a process's standard streams: open pipes, or a terminal. It is there from before the process
//! exists until the process has ended.

use crate::outputs::{Copies, Outputs};
use crate::request::Stdio;
use crate::stdio;
use crate::terminal::{Pipes, Terminal};
use anyhow::{Context, Result};
use std::mem;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// The streams of a process.
pub(crate) struct Streams {
    held: Mutex<Held>,
    terminal: OnceLock<Terminal>,
    copies: OnceLock<Copies>,
}

/// The open ends of the streams.
#[derive(Default)]
struct Held {
    output: Output,
    input: Option<OwnedFd>,
    /// Whether the process has opened its own ends. Before that, closing the input would lose the bytes in the pipe.
    connected: bool,
    /// Whether a close of the input was requested.
    closed: bool,
}

/// Where the process's output goes.
#[derive(Default)]
enum Output {
    /// Nowhere any more, or where [`Streams::terminal`] or [`Streams::copies`] copy it.
    #[default]
    Away,
    /// Directly into containerd's pipes, which these reading ends keep open.
    Direct { _ends: Vec<OwnedFd> },
    /// Into pipes of the process's own, which do not exist yet.
    Copied(Outputs),
    /// Into a terminal, which does not exist yet.
    Terminal(Pipes),
}

impl Streams {
    /// Opens the server's ends for a container's first process, before it exists.
    pub(crate) fn open(stdio: &Stdio, terminal: bool) -> Result<Self> {
        Self::with(stdio, terminal, || {
            let _ends = stdio::hold_outputs(stdio)?;
            Ok(Output::Direct { _ends })
        })
    }

    /// Opens the server's ends for a process that is added to a container, before it exists.
    pub(crate) fn open_apart(stdio: &Stdio, terminal: bool) -> Result<Self> {
        Self::with(stdio, terminal, || {
            Ok(Output::Copied(Outputs::open(stdio)?))
        })
    }

    fn with(
        stdio: &Stdio,
        terminal: bool,
        output: impl FnOnce() -> Result<Output>,
    ) -> Result<Self> {
        let held = if terminal {
            Held {
                output: Output::Terminal(Pipes::open(stdio)?),
                ..Held::default()
            }
        } else {
            Held {
                output: output()?,
                input: stdio::hold_input(stdio)?,
                ..Held::default()
            }
        };
        Ok(Self {
            held: Mutex::new(held),
            terminal: OnceLock::new(),
            copies: OnceLock::new(),
        })
    }

    /// Records that the process exists and has opened its ends, and takes what was created for it: its terminal, or the
    /// reading ends of its output.
    pub(crate) fn connect(&self, mut created: Vec<OwnedFd>) -> Result<()> {
        let mut held = self.lock();
        match mem::take(&mut held.output) {
            Output::Terminal(pipes) => {
                let master = created.pop().context("the process has no terminal")?;
                let _ = self.terminal.set(Terminal::connect(master, pipes)?);
            }
            Output::Copied(outputs) => {
                let _ = self.copies.set(outputs.copy_from(created)?);
            }
            direct => held.output = direct,
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

    /// Waits until the last output of an ended process has left its terminal, and closes all ends but those of output that
    /// is still copied (see [`end`](Self::end)).
    pub(crate) async fn finish(&self) {
        if let Some(terminal) = self.terminal.get() {
            terminal.drain().await;
        }
        *self.lock() = Held {
            connected: true,
            ..Held::default()
        };
    }

    /// Closes all ends of a process that is deleted, after its last output.
    pub(crate) async fn end(&self) {
        if let Some(copies) = self.copies.get() {
            copies.end().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
