//! The kernel's record of a container, read from its cgroup: its processes, its OOM kills, and its files for
//! [`crate::stats`]. Version 1 has a hierarchy for each controller, version 2 has one for all, a hybrid has both.

use anyhow::{Context, Result, anyhow, ensure};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

const MOUNT: &str = "/sys/fs/cgroup";

/// The controller of version 1 that freezes processes.
const FREEZER: &str = "freezer";

/// The time that the kernel may take to freeze all processes. It cannot freeze a process in a file call that hangs.
const FREEZE_TIMEOUT: Duration = Duration::from_secs(10);
/// The interval at which the state of the freezer is read, because version 1 has no event for it.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// The cgroup of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cgroup {
    /// On version 1, the cgroup's directory in each controller's hierarchy.
    controllers: BTreeMap<String, PathBuf>,
    /// On version 2, the cgroup's directory.
    unified: PathBuf,
}

impl Cgroup {
    /// Reads the cgroup of a process.
    pub(crate) fn of(pid: i32) -> Result<Self> {
        let path = format!("/proc/{pid}/cgroup");
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let cgroup = Self::parse(&text);
        ensure!(
            cgroup.memory().is_dir(),
            "the container's cgroup is missing: no directory {} (is the memory controller mounted?)",
            cgroup.memory().display()
        );
        Ok(cgroup)
    }

    /// Returns the cgroup with this path, in the hierarchies that have it.
    pub(crate) fn existing(path: &Path) -> Result<Self> {
        let own = "/proc/self/cgroup";
        let text = std::fs::read_to_string(own).with_context(|| format!("cannot read {own}"))?;
        let below = path.strip_prefix("/").unwrap_or(path);
        let controllers = Self::parse(&text).controllers.into_keys();
        let controllers =
            controllers.map(|name| (name.clone(), Path::new(MOUNT).join(name).join(below)));
        let cgroup = Self {
            controllers: controllers.collect(),
            unified: Path::new(MOUNT).join(below),
        };
        ensure!(
            cgroup.directories().any(|directory| directory.is_dir()),
            "the cgroup {} does not exist",
            path.display()
        );
        Ok(cgroup)
    }

    /// Parses `/proc/PID/cgroup`. Lines of version 1 are like `4:cpu,cpuacct:/a/b`, the line of version 2 is `0::/a/b`.
    pub(crate) fn parse(text: &str) -> Self {
        let below = |mount: PathBuf, path: &str| mount.join(path.trim_start_matches('/'));
        let mut cgroup = Self {
            controllers: BTreeMap::new(),
            unified: MOUNT.into(),
        };
        for line in text.lines() {
            let Ok([_, list, path]) =
                <[&str; 3]>::try_from(line.splitn(3, ':').collect::<Vec<_>>())
            else {
                continue;
            };
            if list.is_empty() {
                cgroup.unified = below(MOUNT.into(), path);
            }
            for controller in list.split(',').filter(|name| !name.is_empty()) {
                let directory = below(Path::new(MOUNT).join(controller), path);
                cgroup.controllers.insert(controller.to_owned(), directory);
            }
        }
        cgroup
    }

    /// Returns whether this is the cgroup that a container's configuration names, or one that the container created in
    /// it. The name is a path, or `SLICE:PREFIX:NAME` if systemd created the cgroup.
    pub(crate) fn is_at(&self, path: &Path, systemd: bool) -> bool {
        let path = path.to_string_lossy();
        let name = path.rsplit(':').next().unwrap_or_default();
        self.memory().ancestors().any(|directory| {
            let unit = directory.file_name().unwrap_or_default();
            match systemd {
                true => unit.to_string_lossy().contains(name),
                false => directory.ends_with(path.trim_start_matches('/')),
            }
        })
    }

    fn directories(&self) -> impl Iterator<Item = &PathBuf> {
        self.controllers.values().chain([&self.unified])
    }

    /// Moves a process into the cgroup.
    pub(crate) fn add(&self, pid: i32) -> Result<()> {
        let directories = self.directories();
        for directory in directories.filter(|directory| *directory != Path::new(MOUNT)) {
            let path = directory.join("cgroup.procs");
            if path.exists() {
                std::fs::write(&path, pid.to_string())
                    .with_context(|| format!("cannot add a process to {}", directory.display()))?;
            }
        }
        Ok(())
    }

    /// Returns whether version 2 counts the memory.
    pub(crate) fn is_unified(&self) -> bool {
        !self.controllers.contains_key("memory")
    }

    /// Returns the directory of a controller.
    pub(crate) fn controller(&self, name: &str) -> &Path {
        self.controllers.get(name).unwrap_or(&self.unified)
    }

    fn memory(&self) -> &Path {
        self.controller("memory")
    }

    /// Returns the number of processes in the cgroup that the kernel has killed because memory ran out, or `None` if the
    /// cgroup is gone. The number outlives the processes.
    pub(crate) fn oom_kills(&self) -> Option<u64> {
        let events = if self.is_unified() {
            "memory.events"
        } else {
            "memory.oom_control"
        };
        let path = self.memory().join(events);
        // The cgroup may be removed after the first read.
        let kills = fields(&path).get("oom_kill").copied();
        kills.or_else(|| path.exists().then_some(0))
    }

    /// Returns the same number for the cgroup above, the pod's, and all cgroups in it. Only version 2 has this number.
    pub(crate) fn pod_oom_kills(&self) -> u64 {
        let above = self.unified.parent().filter(|_| self.is_unified());
        let events = above.map(|above| fields(&above.join("memory.events")));
        events
            .and_then(|events| events.get("oom_kill").copied())
            .unwrap_or(0)
    }

    /// Freezes all processes in the cgroup. Thaws them and fails if that takes too long.
    pub(crate) async fn freeze(&self) -> Result<()> {
        let frozen = async {
            while !self.is_frozen()? {
                // Written again because version 1 may miss a process that was just created.
                self.set_frozen(true)?;
                tokio::time::sleep(POLL_INTERVAL).await;
            }
            Ok(())
        };
        let frozen = tokio::time::timeout(FREEZE_TIMEOUT, frozen).await;
        let result = frozen.unwrap_or_else(|_| {
            Err(anyhow!(
                "cannot freeze {} within {FREEZE_TIMEOUT:?} (does a process hang in a file call?)",
                self.freezer().display()
            ))
        });
        if result.is_err() {
            let _ = self.thaw();
        }
        result
    }

    /// Thaws all processes in the cgroup.
    pub(crate) fn thaw(&self) -> Result<()> {
        self.set_frozen(false)
    }

    fn set_frozen(&self, frozen: bool) -> Result<()> {
        let value = match (self.controllers.contains_key(FREEZER), frozen) {
            (true, true) => "FROZEN",
            (true, false) => "THAWED",
            (false, true) => "1",
            (false, false) => "0",
        };
        let path = self.freezer();
        std::fs::write(&path, value)
            .with_context(|| format!("cannot write {value} to {}", path.display()))
    }

    fn is_frozen(&self) -> Result<bool> {
        if !self.controllers.contains_key(FREEZER) {
            let events = fields(&self.unified.join("cgroup.events"));
            return Ok(events.get("frozen") == Some(&1));
        }
        let path = self.freezer();
        let state = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        Ok(state.trim() == "FROZEN")
    }

    /// Returns the file that freezes the processes.
    fn freezer(&self) -> PathBuf {
        match self.controllers.get(FREEZER) {
            Some(directory) => directory.join("freezer.state"),
            None => self.unified.join("cgroup.freeze"),
        }
    }

    /// Returns the bytes of memory in use that the kernel cannot reclaim, which excludes the page cache. Returns `None` if
    /// the kernel does not report the use.
    pub(crate) fn memory_in_use(&self) -> Option<u64> {
        let stat = fields(&self.memory().join("memory.stat"));
        let of = |name: &str| stat.get(name).copied().unwrap_or(0);
        if self.is_unified() {
            let used = number(&self.memory().join("memory.current"))?;
            Some(used.saturating_sub(of("active_file") + of("inactive_file")))
        } else {
            let used = number(&self.memory().join("memory.usage_in_bytes"))?;
            Some(used.saturating_sub(of("total_active_file") + of("total_inactive_file")))
        }
    }

    /// Returns the processes in the cgroup. The list is empty if the cgroup is gone.
    pub(crate) fn processes(&self) -> Vec<i32> {
        let path = self.memory().join("cgroup.procs");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }
}

/// Reads a file of lines with a name and a number. A missing file is empty, because the set of files depends on the kernel.
pub(crate) fn fields(path: &Path) -> BTreeMap<String, u64> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let field = |line: &str| {
        let (name, value) = line.split_once(' ')?;
        Some((name.to_owned(), value.trim().parse().ok()?))
    };
    text.lines().filter_map(field).collect()
}

/// Reads a file of one number, or of `max`, which stands for the largest number.
pub(crate) fn number(path: &Path) -> Option<u64> {
    match std::fs::read_to_string(path).ok()?.trim() {
        "max" => Some(u64::MAX),
        text => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_cgroup_has_no_count_and_its_pod_keeps_one() {
        let pod = tempfile::tempdir().expect("a temporary directory");
        let unified = pod.path().join("one.scope");
        std::fs::create_dir(&unified).expect("it can be created");
        let events = |directory: &Path, kills: u64| {
            let text = format!("oom 1\noom_kill {kills}\n");
            std::fs::write(directory.join("memory.events"), text).expect("it can be written");
        };
        events(pod.path(), 3);
        events(&unified, 1);
        let cgroup = Cgroup {
            controllers: BTreeMap::new(),
            unified: unified.clone(),
        };
        assert_eq!((cgroup.oom_kills(), cgroup.pod_oom_kills()), (Some(1), 3));
        std::fs::remove_dir_all(&unified).expect("it can be removed");
        assert_eq!((cgroup.oom_kills(), cgroup.pod_oom_kills()), (None, 3));
    }

    #[test]
    fn the_directories_are_found_in_both_versions_and_in_a_hybrid() {
        let v1 = Cgroup::parse("5:devices:/pod\n4:cpu,memory:/pod/one\n1:name=systemd:/\n");
        assert_eq!(v1.memory(), Path::new("/sys/fs/cgroup/memory/pod/one"));
        assert_eq!(
            v1.controller("cpu"),
            Path::new("/sys/fs/cgroup/cpu/pod/one")
        );
        let v2 = Cgroup::parse("0::/kubepods.slice/pod/one:two\n");
        assert_eq!(
            v2.memory(),
            Path::new("/sys/fs/cgroup/kubepods.slice/pod/one:two")
        );
        assert!(v2.is_unified() && !v1.is_unified());
        let hybrid = Cgroup::parse("4:memory:/pod/one\n0::/\n");
        assert_eq!(hybrid.memory(), v1.memory());
    }

    #[test]
    fn a_cgroup_is_recognized_by_its_path_or_its_unit() {
        let fs = Cgroup::parse("4:memory:/kubepods/pod/one\n");
        assert!(fs.is_at(Path::new("/kubepods/pod/one"), false));
        assert!(!fs.is_at(Path::new("/kubepods/pod/two"), false));
        let inner = Cgroup::parse("4:memory:/kubepods/pod/one/init\n");
        assert!(inner.is_at(Path::new("/kubepods/pod/one"), false));
        let systemd = Cgroup::parse("0::/kubepods.slice/cri-containerd-one.scope\n");
        assert!(systemd.is_at(Path::new("kubepods.slice:cri-containerd:one"), true));
        assert!(!systemd.is_at(Path::new("kubepods.slice:cri-containerd:two"), true));
    }
}
