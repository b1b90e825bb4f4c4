//! On cgroup version 2, a container's cgroup and the rules for its devices, made before any of its processes.
//!
//! libcontainer makes the cgroup in the process that forks the container's first, and knows no rules for devices
//! (docs/upstream/devices.md). So
//! this makes the cgroup in advance, through libcontainer's own manager, with a process in it that does nothing: systemd
//! makes none without. libcontainer then finds the cgroup and adds its process.

use super::devices;
use anyhow::{Context, Result};
use libcgroups::common::{CgroupConfig, CgroupManager, create_cgroup_manager};
use libcontainer::oci_spec::runtime::Spec;
use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};
use std::path::Path;

/// A process in the container's cgroup, ended when this is dropped.
pub(super) struct Holder {
    process: libc::pid_t,
}

/// Makes the cgroup and applies the rules. Returns `None` on version 1, where libcontainer writes the rules into the
/// controller's files before it forks the container's process.
pub(super) fn confine(spec: &Spec, cgroup: CgroupConfig) -> Result<Option<Holder>> {
    if !Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        return Ok(None);
    }
    let path = cgroup.cgroup_path.clone();
    let describe = || format!("cannot make the cgroup {}", path.display());
    let holder = Holder::start()?;
    let manager = create_cgroup_manager(cgroup).with_context(describe)?;
    let process = nix::unistd::Pid::from_raw(holder.process);
    manager.add_task(process).with_context(describe)?;
    devices::confine(spec, holder.process)?;
    Ok(Some(holder))
}

impl Holder {
    fn start() -> Result<Self> {
        let parent = getpid();
        // SAFETY: this process has one thread, and the child calls nothing but the kernel.
        let process = unsafe { libc::fork() };
        if process == 0 {
            // Ends with its parent, which may have ended before this was asked for.
            let asked = set_parent_process_death_signal(Some(Signal::KILL)).is_ok();
            if asked && getppid() == Some(parent) {
                // SAFETY: takes no memory.
                unsafe { libc::pause() };
            }
            // SAFETY: ends the child without running what the parent has registered.
            unsafe { libc::_exit(0) };
        }
        anyhow::ensure!(
            process > 0,
            "cannot fork: {}",
            std::io::Error::last_os_error()
        );
        Ok(Self { process })
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // SAFETY: takes numbers, and no memory but a null pointer. The child is this process's and was not waited for,
        // so the number is still its own.
        unsafe {
            libc::kill(self.process, libc::SIGKILL);
            libc::waitpid(self.process, std::ptr::null_mut(), 0);
        }
    }
}
