//! The request to remove a container: its processes, cgroup, directory and mounts. A second delete does nothing. A
//! container that was created in part is removed as far as it exists.

use super::bundle::spec;
use super::create_lock;
use crate::request::Location;
use crate::signals;
use anyhow::{Context, Result, ensure};
use containerd_shim::mount::umount_recursive;
use libcgroups::common::{
    AnyCgroupManager, CgroupConfig, CgroupManager, FreezerState, create_cgroup_manager,
};
use libcontainer::config::YoukiConfig;
use libcontainer::container::Container;
use rustix::process::Signal;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Unmounts at once. The file system is released when its last user is gone.
const DETACH: i32 = libc::MNT_DETACH;
/// Does not follow a symbolic link that the container put in place of the mount.
const NO_FOLLOW: i32 = libc::UMOUNT_NOFOLLOW;

/// The time that killed processes may take to end. It is shorter than containerd's limit for the whole clean-up.
const CLEANUP_TIMEOUT: Duration = Duration::from_secs(2);

/// Returns the id of the container's first process, which may have ended; `None` if the container was created in part.
pub(crate) fn first_process(location: &Location) -> Option<i32> {
    let container = Container::load(location.container()).ok()?;
    container.pid().map(|pid| pid.as_raw())
}

/// Removes the container.
pub(crate) fn delete(location: &Location) -> Result<()> {
    end_all(location)?;
    let directory = location.container();
    if directory.exists() {
        match Container::load(directory.clone()) {
            Ok(mut container) => {
                // All processes have ended. With an id, libcontainer would kill the process that has this id now.
                container.state.pid = None;
                container
                    .delete(true)
                    .context("cannot remove the container")?;
            }
            Err(error) => {
                let error = error.to_string();
                eprintln!("container was created in part error={error:?}");
                std::fs::remove_dir_all(&directory)
                    .with_context(|| format!("cannot remove {}", directory.display()))?;
            }
        }
    }
    // Layers are left if the helper was killed between two mounts.
    [location.rootfs(), location.layers()]
        .iter()
        .try_for_each(|path| {
            umount_recursive(path.to_str(), DETACH | NO_FOLLOW)
                .with_context(|| format!("cannot unmount {}", path.display()))
        })
}

/// Kills all processes in the container's cgroup: the first one, others that outlived it because the container has no
/// PID namespace of its own, and one that is still being created.
///
/// libcontainer's way freezes the cgroup first. It can leave the cgroup frozen, with processes that then cannot be killed.
fn end_all(location: &Location) -> Result<()> {
    let deadline = Instant::now() + CLEANUP_TIMEOUT;
    loop {
        let created = !create_lock::is_locked(location);
        let cgroup = cgroup(location, created)?;
        // Without a cgroup there are no processes.
        let processes = || -> Vec<i32> {
            let processes = cgroup.as_ref().map(CgroupManager::get_all_pids);
            let processes = processes.and_then(Result::ok).unwrap_or_default();
            processes.into_iter().map(|pid| pid.as_raw()).collect()
        };
        let left = processes();
        if left.is_empty() && created {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "cannot kill the processes {left:?} within {CLEANUP_TIMEOUT:?}{}",
            if created {
                ""
            } else {
                ": the container is still being created"
            }
        );
        // A frozen process ends only after it is thawed. A failure means that the cgroup cannot be frozen either. The cgroup
        // of an empty container is left alone, because libcgroups would create it.
        if let Some(cgroup) = cgroup.as_ref().filter(|_| !left.is_empty()) {
            let _ = cgroup.freeze(FreezerState::Thawed);
        }
        signals::send(Signal::KILL, processes);
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Returns the cgroup that libcontainer has recorded. For a container that is still being created, which its image may hold
/// up, returns the cgroup that the bundle names. Otherwise the container got no further than its directory.
fn cgroup(location: &Location, created: bool) -> Result<Option<AnyCgroupManager>> {
    let recorded = YoukiConfig::load(location.container());
    let (path, systemd): (PathBuf, bool) = match recorded {
        Ok(config) => {
            let container = Container::load(location.container());
            (
                config.cgroup_path,
                container.is_ok_and(|container| container.systemd()),
            )
        }
        Err(_) if created => return Ok(None),
        Err(_) => {
            let Ok(spec) = spec::load(location) else {
                return Ok(None);
            };
            let path = spec::cgroup_path(&spec, location);
            let systemd = path.is_relative();
            (path, systemd)
        }
    };
    let cgroup = create_cgroup_manager(CgroupConfig {
        cgroup_path: path,
        systemd_cgroup: systemd,
        container_name: location.id.clone(),
    });
    cgroup
        .context("cannot find the container's cgroup")
        .map(Some)
}
