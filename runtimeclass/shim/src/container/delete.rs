//! What is left of a container, removed: processes, cgroup, libcontainer's directory, mounts. Done twice it does
//! nothing the second time, and it does what it can of a container that is only half there.

use crate::request::Place;
use anyhow::{Context, Result};
use containerd_shim::mount::umount_recursive;
use libcontainer::container::Container;
use libcontainer::signal::Signal;

/// `MNT_DETACH`: gone from the tree at once, and for good when its last user is gone.
const DETACH: i32 = libc::MNT_DETACH;
/// `UMOUNT_NOFOLLOW`: a symbolic link that the container put there leads nowhere.
const NO_FOLLOW: i32 = libc::UMOUNT_NOFOLLOW;

/// Removes the container.
pub(crate) fn delete(place: &Place) -> Result<()> {
    let directory = place.container();
    if directory.exists() {
        match Container::load(directory.clone()) {
            Ok(mut container) => {
                // Processes that its first one left behind, where it had no process namespace of its own.
                let kill = Signal::try_from("KILL").context("SIGKILL")?;
                if let Err(error) = container.kill(kill, true) {
                    eprintln!("{}: kill what is left: {error}", place.id);
                }
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
