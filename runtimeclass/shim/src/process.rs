//! One process of a container as containerd sees it: created, running, stopped. The states follow what happens to the
//! process, not what was requested.

use anyhow::{Context, Result};
use containerd_shim::protos::protobuf::well_known_types::timestamp::Timestamp;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, pidfd_send_signal};
use std::os::fd::OwnedFd;
use std::sync::OnceLock;
use std::time::SystemTime;
use tokio::sync::watch;

/// What has become of a process.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum State {
    /// It waits to be started.
    Created,
    /// It runs.
    Running,
    /// It has ended.
    Stopped(Exit),
}

/// How a process has ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Exit {
    /// Its exit code, or 128 and the number of the signal.
    pub(crate) code: u32,
    /// When.
    pub(crate) at: Timestamp,
}

impl Exit {
    /// Returns an exit with this code, now.
    pub(crate) fn now(code: i32) -> Self {
        Self {
            code: code as u32,
            at: now(),
        }
    }
}

/// A process, or the place of one that has not been made yet.
pub(crate) struct Process {
    handle: OnceLock<Handle>,
    state: watch::Sender<State>,
}

/// The kernel's names of a process: its id, and a descriptor that never means another one.
pub(crate) struct Handle {
    pub(crate) pid: i32,
    pub(crate) fd: OwnedFd,
}

impl Process {
    /// A process that is still to be made: see [`set_handle`](Self::set_handle).
    pub(crate) fn new() -> Self {
        Self {
            handle: OnceLock::new(),
            state: watch::Sender::new(State::Created),
        }
    }

    /// Names the process once it exists.
    pub(crate) fn set_handle(&self, handle: Handle) {
        let _ = self.handle.set(handle);
    }

    /// Returns its id, or 0 if it was never made.
    pub(crate) fn pid(&self) -> i32 {
        self.handle.get().map_or(0, |handle| handle.pid)
    }

    /// Returns its state now.
    pub(crate) fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// Notes that it runs, unless it has ended already.
    pub(crate) fn runs(&self) {
        self.state.send_if_modified(|state| {
            let starts = *state == State::Created;
            if starts {
                *state = State::Running;
            }
            starts
        });
    }

    /// Notes its end.
    pub(crate) fn ended(&self, exit: Exit) {
        self.state.send_replace(State::Stopped(exit));
    }

    /// Waits for its end.
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

    /// Sends a signal. Returns `false` if the process has ended or was never made.
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

/// Returns a process id as the kernel's calls take it.
pub(crate) fn to_pid(pid: i32) -> Result<Pid> {
    Pid::from_raw(pid).with_context(|| format!("{pid} is not a process id"))
}

/// Returns the time as protocol buffers write it.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp {
        seconds: since.as_secs() as i64,
        nanos: since.subsec_nanos() as i32,
        ..Default::default()
    }
}
