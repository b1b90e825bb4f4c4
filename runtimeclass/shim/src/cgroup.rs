//! What the kernel says of a container through its cgroup: which processes are in it, and whether memory ran out.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

const MOUNT: &str = "/sys/fs/cgroup";

/// The cgroup of a container, the one that limits its memory where there are several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cgroup {
    directory: PathBuf,
    /// The file that counts the processes killed for want of memory.
    events: &'static str,
}

impl Cgroup {
    /// The cgroup that a process is in.
    pub(crate) fn of(pid: i32) -> Result<Self> {
        let path = format!("/proc/{pid}/cgroup");
        let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
        Self::parse(&text).with_context(|| format!("{path}: no cgroup that counts memory"))
    }

    /// Version 1 has a line for each controller, `4:memory:/a/b`; version 2 has one, `0::/a/b`. A hybrid has both, and
    /// the memory controller in one of the two.
    fn parse(text: &str) -> Option<Self> {
        let lines: Vec<[&str; 3]> = text
            .lines()
            .filter_map(|line| line.splitn(3, ':').collect::<Vec<_>>().try_into().ok())
            .collect();
        let below = |mount: &Path, path: &str| mount.join(path.trim_start_matches('/'));
        let has_memory = |list: &str| list.split(',').any(|controller| controller == "memory");
        if let Some([_, _, path]) = lines.iter().find(|line| has_memory(line[1])) {
            return Some(Self {
                directory: below(&Path::new(MOUNT).join("memory"), path),
                events: "memory.oom_control",
            });
        }
        let [_, _, path] = lines.iter().find(|line| line[0] == "0")?;
        Some(Self {
            directory: below(Path::new(MOUNT), path),
            events: "memory.events",
        })
    }

    /// How many of its processes the kernel has killed because memory ran out. Survives the processes, not the cgroup.
    pub(crate) fn oom_kills(&self) -> u64 {
        let text = std::fs::read_to_string(self.directory.join(self.events)).unwrap_or_default();
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        count
            .and_then(|count| count.trim().parse().ok())
            .unwrap_or(0)
    }

    /// The processes in it.
    pub(crate) fn processes(&self) -> Result<Vec<i32>> {
        let path = self.directory.join("cgroup.procs");
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cgroup_that_counts_memory_is_found_in_both_versions_and_in_a_hybrid() {
        let v1 = "5:devices:/pod\n4:cpu,memory:/pod/one\n1:name=systemd:/\n";
        let v2 = "0::/kubepods.slice/pod/one:two\n";
        let hybrid = "4:memory:/pod/one\n0::/\n";
        let of = |text| Cgroup::parse(text).expect("there is one");
        assert_eq!(of(v1).directory, Path::new("/sys/fs/cgroup/memory/pod/one"));
        assert_eq!(
            of(v2).directory,
            Path::new("/sys/fs/cgroup/kubepods.slice/pod/one:two")
        );
        assert_eq!(of(hybrid), of(v1));
        assert_eq!(Cgroup::parse("1:name=systemd:/\n"), None);
    }
}
