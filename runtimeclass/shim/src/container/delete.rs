//! What is left of a container, removed: processes, cgroup, libcontainer's directory, mounts. Done twice it does
//! nothing the second time, and it does what it can of a container that is only half there.

use super::create::cgroup_path;
use super::making;
use crate::request::Place;
use crate::signals;
use anyhow::{Context, Result, ensure};
use containerd_shim::mount::umount_recursive;
use libcgroups::common::{
    AnyCgroupManager, CgroupConfig, CgroupManager, FreezerState, create_cgroup_manager,
};
use libcontainer::config::YoukiConfig;
use libcontainer::container::Container;
use libcontainer::oci_spec::runtime::Spec;
use rustix::process::Signal;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// `MNT_DETACH`: gone from the tree at once, and for good when its last user is gone.
const DETACH: i32 = libc::MNT_DETACH;
/// `UMOUNT_NOFOLLOW`: a symbolic link that the container put there leads nowhere.
const NO_FOLLOW: i32 = libc::UMOUNT_NOFOLLOW;

/// How long killed processes may take to be gone; less than containerd gives the whole clean-up.
const KILLED: Duration = Duration::from_secs(2);

/// Removes the container.
pub(crate) fn delete(place: &Place) -> Result<()> {
    end_all(place)?;
    let directory = place.container();
    if directory.exists() {
        match Container::load(directory.clone()) {
            Ok(mut container) => {
                // libcontainer would look for a process with this number, and kill it. All have ended.
                container.state.pid = None;
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
fn end_all(place: &Place) -> Result<()> {
    let end = Instant::now() + KILLED;
    loop {
        let made = !making::is_locked(place);
        let cgroup = cgroup(place, made)?;
        // There is no cgroup when there is nothing in it.
        let processes = || -> Vec<i32> {
            let processes = cgroup.as_ref().map(CgroupManager::get_all_pids);
            let processes = processes.and_then(Result::ok).unwrap_or_default();
            processes.into_iter().map(|pid| pid.as_raw()).collect()
        };
        let left = processes();
        if left.is_empty() && made {
            return Ok(());
        }
        ensure!(
            Instant::now() < end,
            "{}: the container does not end: its processes are {left:?}{}",
            place.bundle.display(),
            if made {
                ""
            } else {
                ", and it is still being made"
            }
        );
        // What is frozen is not killed before it is thawed. A cgroup that cannot be frozen is not. Without a process there
        // may be no cgroup, and libcgroups would make one.
        if let Some(cgroup) = cgroup.as_ref().filter(|_| !left.is_empty()) {
            let _ = cgroup.freeze(FreezerState::Thawed);
        }
        signals::send(Signal::KILL, processes);
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Returns the cgroup that libcontainer has noted. Of a container that is still being made, which may be held up, it is
/// the one that the bundle names. Otherwise the container got no further than its directory.
fn cgroup(place: &Place, made: bool) -> Result<Option<AnyCgroupManager>> {
    let noted = YoukiConfig::load(place.container());
    let (path, systemd): (PathBuf, bool) = match noted {
        Ok(config) => {
            let container = Container::load(place.container());
            (
                config.cgroup_path,
                container.is_ok_and(|container| container.systemd()),
            )
        }
        Err(_) if made => return Ok(None),
        Err(_) => {
            let Ok(spec) = Spec::load(place.bundle.join("config.json")) else {
                return Ok(None);
            };
            let path = cgroup_path(&spec, place);
            let systemd = path.is_relative();
            (path, systemd)
        }
    };
    let cgroup = create_cgroup_manager(CgroupConfig {
        cgroup_path: path,
        systemd_cgroup: systemd,
        container_name: place.id.clone(),
    });
    cgroup.context("the container's cgroup").map(Some)
}
