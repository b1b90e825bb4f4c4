//! Processes that end with the process that started them.

use anyhow::{Context, Result};
use rustix::process::{Signal, set_parent_process_death_signal};

/// Makes the kernel kill this process when the one that started it ends. A process that is forked from this one does not
/// inherit that.
///
/// Otherwise a container that a dead server requested would be created after containerd has cleaned up.
pub(crate) fn end_with_parent() -> Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))
        .context("cannot tie this process to the one that started it")
}
