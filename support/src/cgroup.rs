//! cgroups as directories: one hierarchy in version 2, one for each controller in version 1.

use crate::wait;
use anyhow::Result;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The mount point of all hierarchies.
pub const ROOT: &str = "/sys/fs/cgroup";

/// How long the kernel may take to release ended processes.
const RELEASE: Duration = Duration::from_secs(10);

/// Returns whether all controllers are in one hierarchy, which is version 2.
pub fn is_v2() -> bool {
    Path::new(ROOT).join("cgroup.controllers").exists()
}

/// Returns the top directory of each hierarchy.
pub fn hierarchies() -> Vec<PathBuf> {
    let root = PathBuf::from(ROOT);
    if is_v2() {
        return vec![root];
    }
    // Controllers that are mounted together have links to one directory, which are skipped.
    children(&root)
}

/// Returns the cgroups directly below one.
pub fn children(cgroup: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(cgroup).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// Removes a cgroup and all below it, after waiting until the kernel has released their ended processes.
///
/// # Errors
///
/// Fails if a process still runs in one of them when the wait ends.
pub fn remove(cgroup: &Path) -> Result<()> {
    let what = format!("removal of the cgroup {}", cgroup.display());
    wait::until(&what, RELEASE, || Ok(try_remove(cgroup).then_some(())))
}

/// Removes the directories, from the innermost. Their files belong to the kernel and go with them.
fn try_remove(cgroup: &Path) -> bool {
    let below = children(cgroup).iter().all(|below| try_remove(below));
    below && (fs::remove_dir(cgroup).is_ok() || !cgroup.exists())
}

/// Thaws a cgroup and all below it. A runtime that is killed at the wrong moment leaves its cgroup frozen.
pub fn thaw(cgroup: &Path) {
    for (file, state) in [("freezer.state", "THAWED"), ("cgroup.freeze", "0")] {
        let file = cgroup.join(file);
        if file.exists() {
            let _ = fs::write(file, state);
        }
    }
    for below in children(cgroup) {
        thaw(&below);
    }
}
