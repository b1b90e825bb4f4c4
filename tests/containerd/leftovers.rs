//! What is on the node apart from containers: what a container must not add to.

use crate::cgroup;
use crate::node::Node;
use crate::process::{self, Process};
use anyhow::Result;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use visits_tests::DEADLINE;
use visits_tests::wait::until;

/// Where containerd and the shims keep what lives as long as a container.
const STATE: &str = "/run/containerd";

/// Processes, mounts, cgroups and files at one moment.
#[derive(Debug)]
pub(crate) struct Leftovers {
    processes: BTreeSet<Process>,
    mounts: BTreeSet<String>,
    cgroups: BTreeSet<PathBuf>,
    files: BTreeSet<PathBuf>,
}

impl Leftovers {
    /// What there is now.
    pub(crate) fn now() -> Result<Self> {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
        let mut files = BTreeSet::new();
        list(Path::new(STATE), &mut files);
        Ok(Self {
            processes: process::all()?.into_iter().collect(),
            mounts: mounts.lines().map(str::to_owned).collect(),
            cgroups: cgroup::below(&Node::cgroup()?)?.into_iter().collect(),
            files,
        })
    }

    /// Waits until there is nothing beyond this.
    pub(crate) async fn are_all_there_is(&self, node: &Node) -> Result<()> {
        self.are_all_but(node, &[]).await
    }

    /// The same without looking at what is below these directories.
    pub(crate) async fn are_all_but(&self, node: &Node, ignored: &[&str]) -> Result<()> {
        let mut more = Vec::new();
        let waited = until("nothing is left behind", DEADLINE, async || {
            let mut now = Self::now()?;
            for paths in [&mut now.files, &mut now.cgroups] {
                paths.retain(|path| !ignored.iter().any(|above| path.starts_with(above)));
            }
            more = self.more(&now);
            Ok(more.is_empty().then_some(()))
        })
        .await;
        waited.map_err(|_| node.failed(&format!("left behind:\n{}", more.join("\n"))))
    }

    fn more(&self, now: &Self) -> Vec<String> {
        fn beyond<T: Ord + std::fmt::Debug>(now: &BTreeSet<T>, then: &BTreeSet<T>) -> Vec<String> {
            now.difference(then)
                .map(|more| format!("{more:?}"))
                .collect()
        }
        [
            beyond(&now.processes, &self.processes),
            beyond(&now.mounts, &self.mounts),
            beyond(&now.cgroups, &self.cgroups),
            beyond(&now.files, &self.files),
        ]
        .concat()
    }
}

/// All files below a directory, but for those in containers' root file systems.
fn list(directory: &Path, files: &mut BTreeSet<PathBuf>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_directory && entry.file_name() != "rootfs" {
            list(&path, files);
        }
        files.insert(path);
    }
}
