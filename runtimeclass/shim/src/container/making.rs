//! While a container is being made, a file in its bundle is locked, so that cleaning up after a server that died in the
//! middle of it removes all of it, and not what is there yet.
//!
//! The lock is that of an open file, which forks share: the process that makes the container, the one libcontainer has in
//! between, and the container's own, until that is in its cgroup. The first two end by themselves when the one before is
//! gone; the third may have been held up by its image, and is killed.

use crate::request::Place;
use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};
use std::fs::File;

/// Locks the container's file until the result and all forks of it are closed.
pub(super) fn lock(place: &Place) -> Result<File> {
    let path = place.making();
    let locked = File::create(&path).and_then(|file| {
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(file)
    });
    locked.with_context(|| format!("{}: lock", path.display()))
}

/// Returns whether somebody makes the container now.
pub(super) fn is_locked(place: &Place) -> bool {
    let Ok(file) = File::open(place.making()) else {
        return false;
    };
    flock(&file, FlockOperation::NonBlockingLockExclusive).is_err()
}
