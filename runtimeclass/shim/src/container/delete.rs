//! What is left of a container, removed: processes, cgroup, libcontainer's directory, mounts. Done twice it does
//! nothing the second time, and it does what it can of a container that is only half there.

use super::making;
use crate::request::Place;
use anyhow::{Context, Result, bail};
use containerd_shim::mount::umount_recursive;
use libcgroups::common::{CgroupConfig, CgroupManager, FreezerState, create_cgroup_manager};
use libcontainer::config::YoukiConfig;
use libcontainer::container::Container;
use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;
use std::time::{Duration, Instant};

/// `MNT_DETACH`: gone from the tree at once, and for good when its last user is gone.
const DETACH: i32 = libc::MNT_DETACH;
/// `UMOUNT_NOFOLLOW`: a symbolic link that the container put there leads nowhere.
const NO_FOLLOW: i32 = libc::UMOUNT_NOFOLLOW;

/// How long killed processes may take to be gone; less than containerd gives the whole clean-up.
const KILLED: Duration = Duration::from_secs(2);

/// Removes the container.
pub(crate) fn delete(place: &Place) -> Result<()> {
    making::wait(place)?;
    let directory = place.container();
    if directory.exists() {
        match Container::load(directory.clone()) {
            Ok(mut container) => {
                end_all(&container, &directory)?;
                container.delete(true).context("remove the container")?;
            }
            Err(error) => {
                eprintln!("{}: only half made: {error}", directory.display());
                std::fs::remove_dir_all(&directory)
                    .with_context(|| format!("{}: remove", directory.display()))?;
            }
        }
    }
    let rootfs = place.rootfs();
    umount_recursive(rootfs.to_str(), DETACH | NO_FOLLOW)
        .with_context(|| format!("{}: unmount", rootfs.display()))
}

/// Kills whatever is in the container's cgroup: its first process, others that outlived it where it had no process
/// namespace of its own, one that is only being made. (libcontainer's way freezes the cgroup first and can leave it
/// frozen, with processes in it that then cannot be killed.)
fn end_all(container: &Container, directory: &Path) -> Result<()> {
    // Without it the container got no further than its directory.
    let Ok(config) = YoukiConfig::load(directory) else {
        return Ok(());
    };
    let cgroup = create_cgroup_manager(CgroupConfig {
        cgroup_path: config.cgroup_path,
        systemd_cgroup: container.systemd(),
        container_name: container.id().to_owned(),
    })
    .context("the container's cgroup")?;
    let end = Instant::now() + KILLED;
    loop {
        // There is no cgroup when there is nothing in it.
        let processes = cgroup.get_all_pids().unwrap_or_default();
        if processes.is_empty() {
            return Ok(());
        }
        if Instant::now() > end {
            bail!("processes of the container do not end: {processes:?}");
        }
        // What is frozen is not killed before it is thawed. A cgroup that cannot be frozen is not.
        let _ = cgroup.freeze(FreezerState::Thawed);
        for process in processes
            .iter()
            .filter_map(|pid| Pid::from_raw(pid.as_raw()))
        {
            // One that has ended meanwhile needs no signal.
            let _ = kill_process(process, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
