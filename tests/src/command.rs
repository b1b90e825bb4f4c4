//! Programs with a deadline: one that hangs fails a single test.

use anyhow::Result;
use std::process::Command;
pub use visits_support::command::{Bounded, line, run};

/// Runs a program as [`run`] does, without blocking the caller's other tasks.
///
/// # Errors
///
/// Fails with the program's stderr if the program fails or misses the deadline.
pub async fn run_beside(command: Command) -> Result<String> {
    let stdout = Bounded::new(command).run_beside().await?;
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}
