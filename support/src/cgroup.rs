//! cgroups as directories: one hierarchy in version 2, one for each controller in version 1.

use crate::wait;
use anyhow::{Context, Result};
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

/// Returns the cgroup of this process in each hierarchy.
///
/// # Errors
///
/// Fails if `/proc` cannot be read.
pub fn own() -> Result<Vec<PathBuf>> {
    const FILE: &str = "/proc/self/cgroup";
    let text = fs::read_to_string(FILE).with_context(|| format!("cannot read {FILE}"))?;
    Ok(paths(&text, is_v2()))
}

/// Returns the directories that the lines of `/proc/PID/cgroup` stand for. Hierarchies that are not mounted are left out.
fn paths(text: &str, v2: bool) -> Vec<PathBuf> {
    let path = |line: &str| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        let hierarchy = match controllers {
            "" if v2 => "",
            "" => "unified",
            named => named.strip_prefix("name=").unwrap_or(named),
        };
        let top = Path::new(ROOT).join(hierarchy);
        Some(top.join(path.trim_start_matches('/')))
    };
    text.lines()
        .filter_map(path)
        .filter(|path| v2 || path.is_dir())
        .collect()
}

/// Creates a cgroup that accepts processes.
///
/// # Errors
///
/// Fails if the directory cannot be created.
pub fn create(cgroup: &Path) -> Result<()> {
    fs::create_dir_all(cgroup)
        .with_context(|| format!("cannot create the cgroup {}", cgroup.display()))?;
    let above = cgroup.parent().unwrap_or(cgroup);
    // Version 1: a new cgroup has no processors and no memory nodes, and so accepts no process.
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let own = cgroup.join(file);
        if fs::read_to_string(&own).is_ok_and(|text| text.trim().is_empty())
            && let Ok(value) = fs::read_to_string(above.join(file))
        {
            fs::write(&own, value.trim())
                .with_context(|| format!("cannot write {}", own.display()))?;
        }
    }
    Ok(())
}

/// Version 2: delegates every controller that the kernel can delegate to the cgroups below one. Each takes a write of its
/// own, because the kernel rejects a whole line if it cannot delegate one of its controllers. A cgroup that delegates accepts
/// no process.
pub fn delegate(cgroup: &Path) {
    let controllers = fs::read_to_string(cgroup.join("cgroup.controllers")).unwrap_or_default();
    for controller in controllers.split_whitespace() {
        let _ = fs::write(
            cgroup.join("cgroup.subtree_control"),
            format!("+{controller}"),
        );
    }
}

/// Moves this process into a cgroup.
///
/// # Errors
///
/// Fails if the kernel refuses it.
pub fn enter(cgroup: &Path) -> Result<()> {
    let processes = cgroup.join("cgroup.procs");
    fs::write(&processes, std::process::id().to_string())
        .with_context(|| format!("cannot write {}", processes.display()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_cgroup_of_version_2_is_below_the_only_hierarchy() {
        let paths = paths("0::/user.slice/a:b\n", true);
        assert_eq!(paths, [Path::new("/sys/fs/cgroup/user.slice/a:b")]);
    }
}
