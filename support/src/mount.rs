//! Mounts that the test nodes share.

use anyhow::{Context, Result};
use rustix::mount::{MountFlags, mount};
use std::path::Path;

/// Mounts a temporary file system on a directory.
///
/// # Errors
/// When the system refuses, as it does without root.
pub fn tmpfs(directory: impl AsRef<Path>) -> Result<()> {
    let directory = directory.as_ref();
    let none = MountFlags::empty();
    mount("tmpfs", directory, "tmpfs", none, c"mode=0755")
        .with_context(|| format!("cannot mount a tmpfs on {}", directory.display()))
}
