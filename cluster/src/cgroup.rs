//! The cgroup above all pods of a cluster, in each hierarchy of version 1 or in the one of version 2. It exists before the
//! node starts, because kubelet only takes an existing one, and it is removed after the node's end.

use crate::network::Network;
use anyhow::Result;
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
        cgroup::create(&cgroup)?;
        // Version 2: a cgroup has the controllers that every level above it delegates. kubelet reports those that it lacks.
        for level in [&hierarchy, &cgroup] {
            cgroup::delegate(level);
        }
    }
    Ok(())
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
