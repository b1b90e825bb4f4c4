//! cgroups of either version, as files.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// Where cgroups are mounted.
const ROOT: &str = "/sys/fs/cgroup";

/// Whether all controllers are in one hierarchy, as on machines set up since about 2021.
pub(crate) fn is_v2() -> bool {
    Path::new(ROOT).join("cgroup.controllers").exists()
}

/// The directory of a cgroup in the hierarchy of a controller.
pub(crate) fn directory(controller: &str, cgroup: &str) -> PathBuf {
    let hierarchy = if is_v2() {
        Path::new(ROOT).to_owned()
    } else {
        Path::new(ROOT).join(controller)
    };
    hierarchy.join(cgroup.trim_start_matches('/'))
}

/// The bytes of memory that a cgroup uses.
pub(crate) fn memory(cgroup: &str) -> Result<u64> {
    let name = if is_v2() {
        "memory.current"
    } else {
        "memory.usage_in_bytes"
    };
    number(&directory("memory", cgroup).join(name))
}

/// The limits of memory and processors of a cgroup, as the files that hold them have them.
pub(crate) fn limits(cgroup: &str) -> Result<Vec<(&'static str, String)>> {
    let files: &[(&str, &str)] = if is_v2() {
        &[
            ("memory", "memory.max"),
            ("memory", "memory.low"),
            ("memory", "memory.high"),
            ("memory", "memory.swap.max"),
            ("cpu", "cpu.max"),
            ("cpu", "cpu.weight"),
            ("cpuset", "cpuset.cpus"),
            ("pids", "pids.max"),
        ]
    } else {
        &[
            ("memory", "memory.limit_in_bytes"),
            ("memory", "memory.soft_limit_in_bytes"),
            ("memory", "memory.memsw.limit_in_bytes"),
            ("cpu", "cpu.shares"),
            ("cpu", "cpu.cfs_quota_us"),
            ("cpu", "cpu.cfs_period_us"),
            ("cpuset", "cpuset.cpus"),
            ("pids", "pids.max"),
        ]
    };
    let mut limits = Vec::new();
    for (controller, name) in files {
        let file = directory(controller, cgroup).join(name);
        // Not every kernel counts swap, and not every machine has every controller.
        if file.exists() {
            let text = std::fs::read_to_string(&file);
            let text = text.with_context(|| format!("read {}", file.display()))?;
            limits.push((*name, text.trim().to_owned()));
        }
    }
    Ok(limits)
}

/// The limit of a cgroup's memory in bytes.
pub(crate) fn memory_limit(cgroup: &str) -> Result<u64> {
    let name = if is_v2() {
        "memory.max"
    } else {
        "memory.limit_in_bytes"
    };
    number(&directory("memory", cgroup).join(name))
}

/// Lets a cgroup have no more than so many processes and threads; makes it when it is not there.
pub(crate) fn limit_processes(cgroup: &str, limit: u32) -> Result<()> {
    let directory = directory("pids", cgroup);
    std::fs::create_dir_all(&directory).with_context(|| format!("make {}", directory.display()))?;
    if is_v2() {
        // From the top down, each has to hand the controller on.
        let above: Vec<_> = directory
            .ancestors()
            .skip(1)
            .take_while(|path| path.starts_with(ROOT))
            .collect();
        for parent in above.into_iter().rev() {
            let file = parent.join("cgroup.subtree_control");
            std::fs::write(&file, "+pids").with_context(|| format!("write {}", file.display()))?;
        }
    }
    let file = directory.join("pids.max");
    std::fs::write(&file, limit.to_string()).with_context(|| format!("write {}", file.display()))
}

/// All cgroups at and below this one, in any hierarchy.
pub(crate) fn below(cgroup: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let hierarchies = std::fs::read_dir(ROOT)?.map(|entry| Ok(entry?.path()));
    let hierarchies = hierarchies.collect::<Result<Vec<_>>>()?;
    let mut open: Vec<_> = hierarchies
        .into_iter()
        .chain([PathBuf::from(ROOT)])
        .collect();
    for hierarchy in &mut open {
        hierarchy.push(cgroup.trim_start_matches('/'));
    }
    while let Some(directory) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&directory) else {
            continue;
        };
        for entry in entries.flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push(entry.path());
            }
        }
        found.push(directory);
    }
    Ok(found)
}

fn number(path: &Path) -> Result<u64> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    text.trim()
        .parse()
        .with_context(|| format!("{} says {text:?}", path.display()))
}

/// The cgroup of a process in the hierarchy of a controller.
pub(crate) fn of(pid: i32, controller: &str) -> Result<String> {
    let path = format!("/proc/{pid}/cgroup");
    let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    let cgroup = text.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let controllers = fields.next()?;
        let named = if is_v2() {
            controllers.is_empty()
        } else {
            controllers.split(',').any(|name| name == controller)
        };
        named.then(|| fields.next()).flatten()
    });
    Ok(cgroup
        .with_context(|| format!("{path}: {text}"))?
        .to_owned())
}
