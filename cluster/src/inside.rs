//! The first process of the node: makes its file systems, waits for its network, starts the supervisor and reaps
//! whatever loses its parent, as shims do.

use crate::state::State;
use crate::{config, root};
use anyhow::{Context, Result, ensure};
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, WaitStatus, wait};
use std::io::Read;
use std::path::Path;
use std::process::Command;

/// There once the node's file systems are its own: until then its paths still lead to the machine's.
pub(crate) const FURNISHED: &str = "/run/visits/furnished";

/// Runs until the node is killed, or its supervisor ends.
pub(crate) fn run(state: &Path) -> Result<()> {
    // A path that still leads to this program when the node's own file systems hide the one it was found by.
    let program = "/proc/self/exe";
    root::furnish(state)?;
    config::write(&State::inside()?)?;
    std::fs::write(FURNISHED, "").context(FURNISHED)?;
    rustix::system::sethostname(crate::programs::NODE.as_bytes()).context("name the node")?;
    let mut go = [0];
    std::io::stdin()
        .read_exact(&mut go)
        .context("the command that starts the node has ended before the network was there")?;
    let supervisor = Command::new(program)
        .arg("supervise")
        .spawn()
        .context("start the supervisor")?;
    let status = reap_until(Pid::from_child(&supervisor))?;
    ensure!(
        status.exit_status() == Some(0),
        "the supervisor has ended: {status:?}"
    );
    Ok(())
}

/// Waits for the end of this process, and of any other that ends before.
fn reap_until(pid: Pid) -> Result<WaitStatus> {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((ended, status))) if ended == pid => return Ok(status),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("wait for the supervisor"),
        }
    }
}
