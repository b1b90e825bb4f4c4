//! Checks that containers leave nothing on the node: no process, mount, cgroup or file.

use crate::cgroup;
use crate::node::Node;
use crate::process::{self, Process};
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use visits_tests::DEADLINE;
use visits_tests::wait::until;

/// The directory in which containerd and the shims keep what lives as long as a container.
const STATE: &str = "/run/containerd";

/// The node's processes, mounts, cgroups and files at one moment.
#[derive(Debug)]
pub(crate) struct Leftovers {
    processes: BTreeSet<Process>,
    mounts: BTreeSet<String>,
    cgroups: BTreeSet<PathBuf>,
    files: BTreeSet<PathBuf>,
}

impl Leftovers {
    /// Records what is there now.
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

    /// Waits until nothing has been added since.
    pub(crate) async fn nothing_added(&self, node: &Node) -> Result<()> {
        self.nothing_added_outside(node, &[]).await
    }

    /// Waits until nothing has been added since, except below these directories.
    pub(crate) async fn nothing_added_outside(&self, node: &Node, ignored: &[&str]) -> Result<()> {
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
        waited.map_err(|error| node.failed(&format!("{error:#}:\n{}", more.join("\n"))))
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

/// Runs a test's cycle once and then `cycles` more times, and waits until the later ones have left nothing outside the
/// `ignored` directories. The first makes directories that all of them use.
pub(crate) async fn cycles_leave_nothing(
    node: &Node,
    cycles: u32,
    ignored: &[&str],
    mut cycle: impl AsyncFnMut(u32) -> Result<()>,
) -> Result<()> {
    cycle(0).await?;
    let before = Leftovers::now()?;
    for number in 1..=cycles {
        cycle(number)
            .await
            .with_context(|| format!("cycle {number}"))?;
    }
    before.nothing_added_outside(node, ignored).await
}

/// Lists all files below a directory, except those in root file systems of containers.
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
