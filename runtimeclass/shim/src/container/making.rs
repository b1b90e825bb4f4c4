//! While a container is being made, a file in its bundle is locked, so that cleaning up after a server that died in the
//! middle of it removes all of it, and not what is there yet.
//!
//! The lock is that of an open file, which forks share: the process that makes the container, the one libcontainer has in
//! between, and the container's own, until that is in its cgroup. Each ends by itself when the one before it is gone.

use crate::request::Place;
use anyhow::{Context, Result, ensure};
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::time::{Duration, Instant};

/// How long a half made container may take to be made or given up; less than containerd gives the whole clean-up.
const GIVEN_UP: Duration = Duration::from_secs(2);

/// Locks the container's file until the result and all forks of it are closed.
pub(super) fn lock(place: &Place) -> Result<File> {
    let path = place.making();
    let locked = File::create(&path).and_then(|file| {
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(file)
    });
    locked.with_context(|| format!("{}: lock", path.display()))
}

/// Waits until nobody makes the container any more.
pub(super) fn wait(place: &Place) -> Result<()> {
    let path = place.making();
    let Ok(file) = File::open(&path) else {
        return Ok(());
    };
    let end = Instant::now() + GIVEN_UP;
    while flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        ensure!(
            Instant::now() < end,
            "{}: the container is being made still",
            path.display()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}
