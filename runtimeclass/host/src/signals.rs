//! SIGTERM and SIGINT: the first asks the command to drain, the second to end at once.

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that stop the command, caught from the moment this is made.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Catches both signals. Must be called on a tokio runtime.
    pub fn catch() -> Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("catch SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("catch SIGINT")?,
        })
    }

    /// Waits for the next of them and returns its number.
    pub async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.terminate.recv() => SignalKind::terminate().as_raw_value(),
            _ = self.interrupt.recv() => SignalKind::interrupt().as_raw_value(),
        }
    }
}
