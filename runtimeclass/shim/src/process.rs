//! One process of a container as containerd sees it: created, running, stopped. The states follow the process itself, not
//! the requests.

use crate::request::Stdio;
use anyhow::{Context, Result};
use containerd_shim::protos::protobuf::well_known_types::timestamp::Timestamp;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, pidfd_send_signal};
use std::os::fd::OwnedFd;
use std::sync::OnceLock;
use std::time::SystemTime;
use tokio::sync::watch;

/// The exit code of a process that SIGKILL ended.
pub(crate) const SIGKILL_EXIT_CODE: i32 = 128 + libc::SIGKILL;

/// The state of a process.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum State {
    /// The process waits to be started.
    Created,
    Running,
    Stopped(Exit),
}

/// The end of a process.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Exit {
    /// The exit code, or 128 and the number of the signal.
    pub(crate) code: u32,
    pub(crate) at: Timestamp,
}

impl Exit {
    /// Returns an exit with this code, now.
    pub(crate) fn now(code: i32) -> Self {
        let since = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            code: code as u32,
            at: Timestamp {
                seconds: since.as_secs() as i64,
                nanos: since.subsec_nanos() as i32,
                ..Default::default()
            },
        }
    }
}

/// A process that exists or is still to be created.
pub(crate) struct Process {
    pub(crate) stdio: Stdio,
    /// Whether the standard streams are a terminal.
    pub(crate) terminal: bool,
    handle: OnceLock<Handle>,
    state: watch::Sender<State>,
}

/// The kernel's names of a process: its id, and a descriptor that never refers to another process.
pub(crate) struct Handle {
    pub(crate) pid: i32,
    pub(crate) fd: OwnedFd,
}

impl Process {
    /// Returns a process that is still to be created: see [`set_handle`](Self::set_handle).
    pub(crate) fn new(stdio: Stdio, terminal: bool) -> Self {
        Self {
            stdio,
            terminal,
            handle: OnceLock::new(),
            state: watch::Sender::new(State::Created),
        }
    }

    /// Records the handle of the process, which now exists.
    pub(crate) fn set_handle(&self, handle: Handle) {
        let _ = self.handle.set(handle);
    }

    /// Returns the process's id, or 0 if it was never created.
    pub(crate) fn pid(&self) -> i32 {
        self.handle.get().map_or(0, |handle| handle.pid)
    }

    /// Returns the state now.
    pub(crate) fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// Records that the process runs, unless it has already ended.
    pub(crate) fn runs(&self) {
        self.state.send_if_modified(|state| {
            let starts = *state == State::Created;
            if starts {
                *state = State::Running;
            }
            starts
        });
    }

    /// Records the end of the process.
    pub(crate) fn ended(&self, exit: Exit) {
        self.state.send_replace(State::Stopped(exit));
    }

    /// Waits until the process ends.
    pub(crate) async fn wait(&self) -> Exit {
        let mut state = self.state.subscribe();
        loop {
            if let State::Stopped(exit) = &*state.borrow_and_update() {
                return exit.clone();
            }
            if state.changed().await.is_err() {
                // Impossible while `self` has the sender.
                return Exit::now(255);
            }
        }
    }

    /// Sends a signal. Returns `false` if the process has ended or was never created.
    pub(crate) fn signal(&self, signal: Signal) -> Result<bool> {
        let Some(handle) = self.handle.get() else {
            return Ok(false);
        };
        if matches!(self.state(), State::Stopped(_)) {
            return Ok(false);
        }
        match pidfd_send_signal(&handle.fd, signal) {
            Ok(()) => Ok(true),
            Err(Errno::SRCH) => Ok(false),
            Err(error) => Err(error)
                .with_context(|| format!("cannot send {signal:?} to process {}", handle.pid)),
        }
    }
}

/// Returns a process id in the type that the kernel's calls take.
pub(crate) fn to_pid(pid: i32) -> Result<Pid> {
    Pid::from_raw(pid).with_context(|| format!("{pid} is not a process id"))
}
