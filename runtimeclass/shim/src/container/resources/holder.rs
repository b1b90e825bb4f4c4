//! On cgroup version 2, a container's cgroup and its device rules, created before any of its processes.
//!
//! libcontainer creates the cgroup in the process that forks the container's first process, and applies no device rules
//! (docs/upstream/devices.md). So this file creates the cgroup in advance, through libcontainer's own manager. It puts an
//! idle process into the cgroup, because systemd creates no cgroup without a process. libcontainer then finds the cgroup
//! and adds its process.

use super::devices;
use anyhow::{Context, Result};
use libcgroups::common::{CgroupConfig, CgroupManager, create_cgroup_manager};
use libcontainer::oci_spec::runtime::Spec;
use rustix::event::pause;
use rustix::process::{
    Pid, Signal, WaitOptions, getpid, getppid, kill_process, set_parent_process_death_signal,
    waitpid,
};
use std::path::Path;

/// An idle process in the container's cgroup. It is killed when this is dropped.
pub(crate) struct Holder {
    process: Pid,
}

/// Creates the cgroup and applies the device rules. Returns `None` on version 1, because there libcontainer writes the rules
/// into the controller's files before it forks the container's process.
pub(crate) fn create_cgroup(spec: &Spec, cgroup: CgroupConfig) -> Result<Option<Holder>> {
    if !Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        return Ok(None);
    }
    let path = cgroup.cgroup_path.clone();
    let describe = || format!("cannot create the cgroup {}", path.display());
    let holder = Holder::start()?;
    let manager = create_cgroup_manager(cgroup).with_context(describe)?;
    let pid = holder.process.as_raw_nonzero().get();
    let process = nix::unistd::Pid::from_raw(pid);
    manager.add_task(process).with_context(describe)?;
    devices::apply_rules(spec, pid)?;
    Ok(Some(holder))
}

impl Holder {
    fn start() -> Result<Self> {
        let parent = getpid();
        // SAFETY: this process has one thread, and the child calls nothing but the kernel.
        let process = unsafe { libc::fork() };
        if process == 0 {
            // The parent may have ended before the signal was set.
            let set = set_parent_process_death_signal(Some(Signal::KILL)).is_ok();
            if set && getppid() == Some(parent) {
                pause();
            }
            // SAFETY: ends the child without running the parent's exit handlers.
            unsafe { libc::_exit(0) };
        }
        let process = Pid::from_raw(process.max(0)).with_context(|| {
            let error = std::io::Error::last_os_error();
            format!("cannot fork: {error}")
        })?;
        Ok(Self { process })
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // The child was not waited for, so the id is still its own.
        let _ = kill_process(self.process, Signal::KILL);
        let _ = waitpid(Some(self.process), WaitOptions::empty());
    }
}
