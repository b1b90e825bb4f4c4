//! What the containerd suite stands on: whether it can run here, the programs it runs, and the cgroups it leaves.

use crate::setup::{NODE, busybox};
use crate::{go, workspace};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The cgroups of a run are below one of this name and the number of the process that runs it.
const CGROUP: &str = "visits-test-";

/// How long the kernel may take to forget ended processes.
const FORGET: Duration = Duration::from_secs(10);

/// Everything that the suite needs, present and built. Its cgroups are removed on drop.
pub(crate) struct Node {
    shim: PathBuf,
    binaries: PathBuf,
    busybox: PathBuf,
    debian: Option<PathBuf>,
    log: PathBuf,
}

/// Why the suite cannot run here, if so, after installing what can be installed.
pub(crate) fn missing() -> Option<String> {
    if !workspace::is_root() {
        return Some("they need root on Linux".into());
    }
    if let Some(missing) = go::NODE.missing() {
        return Some(missing);
    }
    NODE.prepare().err().map(|error| format!("{error:#}"))
}

impl Node {
    /// Builds it.
    pub(crate) fn build() -> Result<Self> {
        remove_cgroups();
        Ok(Self {
            shim: workspace::shim()?,
            binaries: go::NODE.build()?,
            busybox: busybox().context("there is no static busybox")?,
            debian: super::debian::unpack(),
            log: workspace::target()?.join("containerd-test.log"),
        })
    }

    /// Whether there is Debian's containerd, too.
    pub(crate) fn has_debian(&self) -> bool {
        self.debian.is_some()
    }

    /// Gives it to the suite.
    pub(crate) fn apply(&self, command: &mut Command) {
        command.env("SHIM_BIN", &self.shim);
        command.env("NODE_BIN_DIR", &self.binaries);
        command.env("BUSYBOX_BIN", &self.busybox);
        command.env("CONTAINERD_TEST_LOG", &self.log);
        command.env(
            "CONTAINERD_TEST_CGROUP",
            format!("{CGROUP}{}", std::process::id()),
        );
        if let Some(debian) = &self.debian {
            command.env("DEBIAN_NODE_DIR", debian);
        }
    }
}

/// What makes cargo run a test through this program: the one that gives it namespaces of its own.
pub(crate) fn runner() -> Result<[String; 2]> {
    let contained = workspace::target()?.join("release/contained");
    // A TOML string, whose escapes are Rust's as far as paths have any.
    Ok([
        "--config".into(),
        format!("target.'cfg(unix)'.runner = [{contained:?}]"),
    ])
}

impl Drop for Node {
    fn drop(&mut self) {
        remove_cgroups();
    }
}

/// Removes the cgroups of this run, and of those that were killed before they could.
fn remove_cgroups() {
    let root = Path::new("/sys/fs/cgroup");
    let hierarchies = directories(root).into_iter().chain([root.to_owned()]);
    for cgroup in hierarchies.flat_map(|hierarchy| directories(&hierarchy)) {
        let Some(run) = cgroup
            .file_name()
            .and_then(|name| name.to_str()?.strip_prefix(CGROUP))
        else {
            continue;
        };
        let own = run == std::process::id().to_string();
        if !own && Path::new("/proc").join(run).exists() {
            continue;
        }
        let end = Instant::now() + FORGET;
        while !remove(&cgroup) {
            if Instant::now() > end {
                eprintln!("note: the cgroup {} is left behind", cgroup.display());
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Removes a cgroup and those below it, which are directories of files that cannot be removed.
fn remove(cgroup: &Path) -> bool {
    let below = directories(cgroup).iter().all(|below| remove(below));
    below && (std::fs::remove_dir(cgroup).is_ok() || !cgroup.exists())
}

fn directories(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}
