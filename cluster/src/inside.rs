//! The first process of the node. It mounts the node's file systems, waits for its network, starts the supervisor, and
//! reaps processes that lose their parent, as shims do.

use crate::paths::{MOUNTED, NODE};
use crate::state::State;
use crate::{config, root};
use anyhow::{Context, Result, ensure};
use rustix::process::Pid;
use std::io::Read;
use std::path::Path;
use std::process::Command;
use visits_support::process::reap_until;

/// Runs until the node is killed or its supervisor ends.
pub(crate) fn run(state: &Path) -> Result<()> {
    // Still leads to this program after the node's own file systems have hidden its path.
    let program = "/proc/self/exe";
    root::mount_all(state)?;
    config::write(&State::inside()?)?;
    std::fs::write(MOUNTED, "").context(MOUNTED)?;
    rustix::system::sethostname(NODE.as_bytes()).context("cannot set the node's host name")?;
    let mut connected = [0];
    std::io::stdin()
        .read_exact(&mut connected)
        .context("the command that starts the node ended before the network existed")?;
    let supervisor = Command::new(program)
        .arg("supervise")
        .spawn()
        .context("cannot start the supervisor")?;
    let status = reap_until(Pid::from_child(&supervisor))?;
    ensure!(
        status.exit_status() == Some(0),
        "the supervisor ended: {status:?}"
    );
    Ok(())
}
