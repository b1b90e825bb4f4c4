//! A gate at which a new process waits until the process that created it opens the gate. If the creator ends first, the new
//! process ends too, because the server would not know it.
//!
//! libcontainer has a gate of its own, a socket, at which a process would wait forever. The shim opens that one in advance
//! (see `super::exec`).

use anyhow::{Context, Result, ensure};
use rustix::pipe::{PipeFlags, pipe_with};
use std::cell::RefCell;
use std::os::fd::OwnedFd;

/// A gate, closed at first. It is a pipe: one byte opens it, and its end breaks it.
pub(super) struct Gate {
    wait: OwnedFd,
    /// The opening side. The process that waits drops its copy, because the pipe would never end otherwise.
    open: RefCell<Option<OwnedFd>>,
}

impl Gate {
    pub(super) fn new() -> Result<Self> {
        let (wait, open) = pipe_with(PipeFlags::CLOEXEC).context("cannot create a pipe")?;
        Ok(Self {
            wait,
            open: RefCell::new(Some(open)),
        })
    }

    /// Opens the gate for the process that waits.
    pub(super) fn open(&self) -> Result<()> {
        let open = self.open.borrow();
        let open = open
            .as_ref()
            .context("this process has given up the gate")?;
        rustix::io::write(open, b"+").context("the new process has ended")?;
        Ok(())
    }

    /// Drops the opening side, in the process that is to wait.
    pub(super) fn give_up(&self) {
        self.open.take();
    }

    /// Waits until the gate is opened. Fails if no process can open it any more.
    pub(super) fn wait(&self) -> Result<()> {
        self.give_up();
        let read = rustix::io::retry_on_intr(|| rustix::io::read(&self.wait, &mut [0; 1]))?;
        ensure!(read == 1, "the process that started this one has ended");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_gate_lets_through_and_a_broken_one_does_not() {
        let gate = Gate::new().expect("a pipe");
        gate.open().expect("it can be opened");
        gate.wait().expect("it is open");
        gate.wait().expect_err("no process can open it again");
    }
}
