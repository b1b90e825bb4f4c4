//! The cgroup above all pods of a cluster, in each hierarchy of version 1 or in the one of version 2. It exists before the
//! node starts, because kubelet only takes an existing one, and it is removed after the node's end.

use crate::network::Network;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use visits_support::cgroup;

/// Returns the cgroup's path in every hierarchy.
pub(crate) fn path(network: Network) -> String {
    format!("/visits-cluster-{network}")
}

/// Creates the cgroup.
pub(crate) fn make(network: Network) -> Result<()> {
    for hierarchy in cgroup::hierarchies() {
        let cgroup = below(&hierarchy, network);
        fs::create_dir_all(&cgroup)
            .with_context(|| format!("cannot create the cgroup {}", cgroup.display()))?;
        // Version 2: a cgroup has the controllers that every level above it delegates.
        for level in [&hierarchy, &cgroup] {
            delegate(level);
        }
        // Version 1: a new cgroup has no processors and no memory nodes, and so accepts no process.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let own = cgroup.join(file);
            if hierarchy.join("cpuset.cpus").exists()
                && fs::read_to_string(&own).is_ok_and(|text| text.trim().is_empty())
            {
                let above = fs::read_to_string(hierarchy.join(file))?;
                fs::write(&own, above.trim())
                    .with_context(|| format!("cannot write {}", own.display()))?;
            }
        }
    }
    Ok(())
}

/// Delegates every controller that the kernel can delegate, each with a write of its own: the kernel rejects a whole line if
/// it cannot delegate one of its controllers. kubelet reports the controllers that it lacks.
fn delegate(cgroup: &Path) {
    let controllers = fs::read_to_string(cgroup.join("cgroup.controllers")).unwrap_or_default();
    for controller in controllers.split_whitespace() {
        let _ = fs::write(
            cgroup.join("cgroup.subtree_control"),
            format!("+{controller}"),
        );
    }
}

/// Removes the cgroup after its last process has ended.
pub(crate) fn remove(network: Network) -> Result<()> {
    all(network).try_for_each(|cgroup| cgroup::remove(&cgroup))
}

/// Thaws every process in the cgroup. A runtime that is killed at the wrong moment leaves some frozen.
pub(crate) fn thaw(network: Network) {
    all(network).for_each(|cgroup| cgroup::thaw(&cgroup));
}

fn all(network: Network) -> impl Iterator<Item = PathBuf> {
    let hierarchies = cgroup::hierarchies().into_iter();
    hierarchies.map(move |hierarchy| below(&hierarchy, network))
}

fn below(hierarchy: &Path, network: Network) -> PathBuf {
    hierarchy.join(path(network).trim_start_matches('/'))
}
