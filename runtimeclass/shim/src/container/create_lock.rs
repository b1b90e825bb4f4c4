//! The lock on a file in the bundle that is held while a container is created. A clean-up after a server that died in the
//! middle of a create waits for the lock, so that it removes everything and not only what exists so far.
//!
//! The lock belongs to an open file, which forks share. Its holders are the helper, libcontainer's intermediate process,
//! and the container's process until that is in its cgroup. The first two end when their parent is gone. The image may
//! hold up the third, so that one is killed.

use crate::request::Location;
use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};
use std::fs::File;

/// Takes the container's lock. It is held until the returned file and all forks of it are closed.
pub(super) fn lock(location: &Location) -> Result<File> {
    let path = location.create_lock();
    let locked = File::create(&path).and_then(|file| {
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(file)
    });
    locked.with_context(|| format!("cannot lock {}", path.display()))
}

/// Returns whether a process holds the container's lock.
pub(super) fn is_locked(location: &Location) -> bool {
    let Ok(file) = File::open(location.create_lock()) else {
        return false;
    };
    flock(&file, FlockOperation::NonBlockingLockExclusive).is_err()
}
