//! A gate that a new process waits at until the process that made it lets it through. If that ends first, the new
//! process ends too: nobody would know of it.
//!
//! libcontainer has a gate of its own, a socket, at which a process would wait for ever. So that one is opened in
//! advance (see `super::exec`).

use anyhow::{Context, Result, ensure};
use rustix::pipe::{PipeFlags, pipe_with};
use std::cell::RefCell;
use std::os::fd::OwnedFd;

/// A gate, closed at first. A pipe: one byte opens it, its end breaks it.
pub(super) struct Gate {
    wait: OwnedFd,
    /// With whoever opens the gate; the process that waits gives up its own, or the pipe would never end.
    open: RefCell<Option<OwnedFd>>,
}

impl Gate {
    pub(super) fn new() -> Result<Self> {
        let (wait, open) = pipe_with(PipeFlags::CLOEXEC).context("cannot make a pipe")?;
        Ok(Self {
            wait,
            open: RefCell::new(Some(open)),
        })
    }

    /// Lets the other process through.
    pub(super) fn open(&self) -> Result<()> {
        let open = self.open.borrow();
        let open = open.as_ref().context("the gate is given up")?;
        rustix::io::write(open, b"+").context("the new process is gone")?;
        Ok(())
    }

    /// Gives up the opening side, in the process that is to wait.
    pub(super) fn give_up(&self) {
        self.open.take();
    }

    /// Waits until the gate is opened. Fails if nobody can open it any more.
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
        gate.wait().expect_err("nobody can open it again");
    }
}
