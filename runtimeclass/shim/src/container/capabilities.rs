//! What executing a program takes from a process. The kernel recomputes capabilities at `execve`; a process that serves
//! a component or runs a WASI command executes nothing, and would keep what libcontainer gave it.

use anyhow::{Context, Result};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_ambient_set, set_capabilities,
};

/// Leaves this process the capabilities that it would have after executing a program without file capabilities: a user
/// other than root keeps the ambient set alone. To be called while the process has one thread.
pub(super) fn reduce_as_by_execve() -> Result<()> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let now = capabilities(None).context("cannot read the capabilities of this process")?;
    let mut kept = CapabilitySet::empty();
    for capability in now.permitted.iter() {
        if capability_is_in_ambient_set(capability)
            .context("cannot read the ambient capabilities of this process")?
        {
            kept |= capability;
        }
    }
    let sets = CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: now.inheritable,
    };
    set_capabilities(None, sets).context("cannot give up capabilities")
}
