//! What the kernel says of a container through its cgroup: its processes, whether memory ran out, and its files for
//! [`crate::stats`]. Version 1 has a hierarchy for each controller, version 2 one for all, a hybrid both.

use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const MOUNT: &str = "/sys/fs/cgroup";

/// The cgroup of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cgroup {
    /// Version 1: its directory in each controller's hierarchy.
    controllers: BTreeMap<String, PathBuf>,
    /// Version 2: its directory.
    unified: PathBuf,
}

impl Cgroup {
    /// The cgroup that a process is in.
    pub(crate) fn of(pid: i32) -> Result<Self> {
        let path = format!("/proc/{pid}/cgroup");
        let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
        let cgroup = Self::parse(&text);
        ensure!(
            cgroup.memory().is_dir(),
            "{}: the container has no cgroup that counts its memory",
            cgroup.memory().display()
        );
        Ok(cgroup)
    }

    /// Lines of version 1 are like `4:cpu,cpuacct:/a/b`, the one of version 2 is `0::/a/b`.
    fn parse(text: &str) -> Self {
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

    /// Whether memory is counted by version 2.
    pub(crate) fn is_unified(&self) -> bool {
        !self.controllers.contains_key("memory")
    }

    /// The directory of a controller.
    pub(crate) fn controller(&self, name: &str) -> &Path {
        self.controllers.get(name).unwrap_or(&self.unified)
    }

    fn memory(&self) -> &Path {
        self.controller("memory")
    }

    /// How many of its processes the kernel has killed because memory ran out. Survives the processes, not the cgroup;
    /// `None` when that is gone.
    pub(crate) fn oom_kills(&self) -> Option<u64> {
        let events = if self.is_unified() {
            "memory.events"
        } else {
            "memory.oom_control"
        };
        let path = self.memory().join(events);
        // Between the two looks it may go.
        let kills = fields(&path).get("oom_kill").copied();
        kills.or_else(|| path.exists().then_some(0))
    }

    /// The same of the cgroup above it, the pod's, and all that is in there. Only version 2 counts so.
    pub(crate) fn oom_kills_above(&self) -> u64 {
        let above = self.unified.parent().filter(|_| self.is_unified());
        let events = above.map(|above| fields(&above.join("memory.events")));
        events
            .and_then(|events| events.get("oom_kill").copied())
            .unwrap_or(0)
    }

    /// The processes in it.
    pub(crate) fn processes(&self) -> Result<Vec<i32>> {
        let path = self.memory().join("cgroup.procs");
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
    }
}

/// A file of lines with a name and a number. One that is not there has none: which there are depends on the kernel.
pub(crate) fn fields(path: &Path) -> BTreeMap<String, u64> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let field = |line: &str| {
        let (name, value) = line.split_once(' ')?;
        Some((name.to_owned(), value.trim().parse().ok()?))
    };
    text.lines().filter_map(field).collect()
}

/// A file of one number, or of `max`, which is the largest there is.
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
    fn what_a_removed_cgroup_counted_is_not_known_and_its_pods_count_is() {
        let pod = tempfile::tempdir().expect("a temporary directory");
        let unified = pod.path().join("one.scope");
        std::fs::create_dir(&unified).expect("it can be made");
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
        assert_eq!((cgroup.oom_kills(), cgroup.oom_kills_above()), (Some(1), 3));
        std::fs::remove_dir_all(&unified).expect("it can be removed");
        assert_eq!((cgroup.oom_kills(), cgroup.oom_kills_above()), (None, 3));
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
}
