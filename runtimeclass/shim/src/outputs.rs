//! The output of a process that was added to a container: the server copies it from pipes of the process's own into
//! containerd's.
//!
//! The process may leave others behind that hold its output. containerd waits for the end of its pipes, which must not
//! depend on them: so the pipes end when containerd deletes the process.

use crate::request::Stdio;
use crate::stdio;
use anyhow::{Context, Result, ensure};
use std::os::fd::OwnedFd;
use std::time::Duration;
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

/// The time that a delete waits for the end of the output, as long as runc's shim does. A caller who reads slowly gets the
/// rest of it within this time.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// containerd's output pipes, opened before the process exists: standard output and standard error, those that are pipes.
/// Each is open for reading and writing, so it stays intact while containerd restarts.
pub(crate) struct Outputs(Vec<Sender>);

impl Outputs {
    /// Opens the pipes.
    pub(crate) fn open(stdio: &Stdio) -> Result<Self> {
        let senders = stdio::output_pipes(stdio)?.map(stdio::open_sender);
        Ok(Self(senders.collect::<Result<_>>()?))
    }

    /// Starts to copy from the reading ends of the process's own pipes, which come in the same order.
    pub(crate) fn copy_from(self, ends: Vec<OwnedFd>) -> Result<Copies> {
        ensure!(
            ends.len() == self.0.len(),
            "the process has {} output pipes instead of {}",
            ends.len(),
            self.0.len()
        );
        let mut copies = JoinSet::new();
        for (mut output, end) in self.0.into_iter().zip(ends) {
            let mut input = Receiver::from_owned_fd(end).context("cannot read the output")?;
            copies.spawn(async move {
                // An error ends the copy. containerd sees the end of its pipe, and the process that of its own.
                let _ = tokio::io::copy(&mut input, &mut output).await;
            });
        }
        Ok(Copies(Mutex::new(copies)))
    }
}

/// Output that is copied until its last writer has closed it, or until this is dropped.
pub(crate) struct Copies(Mutex<JoinSet<()>>);

impl Copies {
    /// Waits for the end of the output of a process that has ended, and closes containerd's pipes in any case.
    pub(crate) async fn end(&self) {
        let mut copies = self.0.lock().await;
        let ended = async { while copies.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN_TIMEOUT, ended).await.is_err() {
            copies.shutdown().await;
        }
    }
}
