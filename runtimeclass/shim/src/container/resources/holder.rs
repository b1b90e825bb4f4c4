//! On cgroup version 2, a container's cgroup and its device rules, created before any of its processes.
//!
//! libcontainer creates the cgroup in the process that forks the container's first process, and applies no device rules
//! (docs/upstream/devices.md). So this file creates the cgroup in advance, through libcontainer's own manager. It puts an
//! idle process into the cgroup, because systemd creates no cgroup without a process. libcontainer then finds the cgroup
//! and adds its process.

use super::devices;
use crate::container::idle::Idle;
use anyhow::{Context, Result};
use libcgroups::common::{CgroupConfig, CgroupManager, create_cgroup_manager};
use libcontainer::oci_spec::runtime::Spec;
use std::path::Path;

/// Creates the cgroup and applies the device rules. Returns the idle process in the cgroup, or `None` on version 1, because
/// there libcontainer writes the rules into the controller's files before it forks the container's process.
pub(crate) fn create_cgroup(spec: &Spec, cgroup: CgroupConfig) -> Result<Option<Idle>> {
    if !Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        return Ok(None);
    }
    let path = cgroup.cgroup_path.clone();
    let describe = || format!("cannot create the cgroup {}", path.display());
    let holder = Idle::start(|| Ok(()))?;
    let manager = create_cgroup_manager(cgroup).with_context(describe)?;
    let process = nix::unistd::Pid::from_raw(holder.pid());
    manager.add_task(process).with_context(describe)?;
    devices::apply_rules(spec, holder.pid())?;
    Ok(Some(holder))
}
