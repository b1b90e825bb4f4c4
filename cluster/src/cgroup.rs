//! The cgroup that all pods of a cluster are below, in each hierarchy of version 1 or the one of version 2. It is made
//! before the node, for kubelet takes only one that is there, and removed after it.

use crate::network::Network;
use crate::wait;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const ROOT: &str = "/sys/fs/cgroup";

/// How long the kernel may take to forget ended processes.
const FORGET: Duration = Duration::from_secs(10);

/// Its path in every hierarchy.
pub(crate) fn path(network: Network) -> String {
    format!("/visits-cluster-{network}")
}

/// Makes it.
pub(crate) fn make(network: Network) -> Result<()> {
    for hierarchy in hierarchies() {
        let cgroup = below(&hierarchy, network);
        fs::create_dir_all(&cgroup)
            .with_context(|| format!("make the cgroup {}", cgroup.display()))?;
        // Version 2: what is below gets those controllers that each level above passes on.
        for level in [&hierarchy, &cgroup] {
            delegate(level);
        }
        // Version 1: a new cgroup has no processors and no memory nodes, and takes no process.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let own = cgroup.join(file);
            if hierarchy.join("cpuset.cpus").exists()
                && fs::read_to_string(&own).is_ok_and(|text| text.trim().is_empty())
            {
                let above = fs::read_to_string(hierarchy.join(file))?;
                fs::write(&own, above.trim())
                    .with_context(|| format!("write {}", own.display()))?;
            }
        }
    }
    Ok(())
}

/// Passes all controllers on, each by itself: the kernel refuses all of a line for one that it cannot pass on. kubelet
/// names those that it misses.
fn delegate(cgroup: &Path) {
    let controllers = fs::read_to_string(cgroup.join("cgroup.controllers")).unwrap_or_default();
    for controller in controllers.split_whitespace() {
        let _ = fs::write(
            cgroup.join("cgroup.subtree_control"),
            format!("+{controller}"),
        );
    }
}

/// Removes it, once nothing runs in it.
pub(crate) fn remove(network: Network) -> Result<()> {
    for hierarchy in hierarchies() {
        let cgroup = below(&hierarchy, network);
        wait::until(
            &format!("the end of the cgroup {}", cgroup.display()),
            FORGET,
            || Ok(remove_tree(&cgroup).then_some(())),
        )?;
    }
    Ok(())
}

/// Lets every process below it run. A runtime that is killed at a bad moment leaves some frozen.
pub(crate) fn thaw_all(network: Network) {
    for hierarchy in hierarchies() {
        thaw(&below(&hierarchy, network));
    }
}

fn thaw(cgroup: &Path) {
    for (file, state) in [("freezer.state", "THAWED"), ("cgroup.freeze", "0")] {
        let file = cgroup.join(file);
        if file.exists() {
            let _ = fs::write(file, state);
        }
    }
    for below in directories(cgroup) {
        thaw(&below);
    }
}

fn below(hierarchy: &Path, network: Network) -> PathBuf {
    hierarchy.join(path(network).trim_start_matches('/'))
}

/// The directories that cgroups are made in.
fn hierarchies() -> Vec<PathBuf> {
    let root = PathBuf::from(ROOT);
    if root.join("cgroup.controllers").exists() {
        return vec![root];
    }
    // The names of controllers that are mounted together are links to one directory.
    directories(&root)
}

fn remove_tree(cgroup: &Path) -> bool {
    let below = directories(cgroup).iter().all(|below| remove_tree(below));
    below && (fs::remove_dir(cgroup).is_ok() || !cgroup.exists())
}

fn directories(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}
