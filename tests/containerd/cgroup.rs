//! cgroups of both versions, read and written as files.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// The directory in which cgroups are mounted.
const ROOT: &str = "/sys/fs/cgroup";

/// Whether the machine has cgroup version 2: one hierarchy with all controllers.
pub(crate) fn is_v2() -> bool {
    Path::new(ROOT).join("cgroup.controllers").exists()
}

/// Returns the directory of a cgroup in the hierarchy of a controller.
pub(crate) fn directory(controller: &str, cgroup: &str) -> PathBuf {
    let hierarchy = if is_v2() {
        Path::new(ROOT).to_owned()
    } else {
        Path::new(ROOT).join(controller)
    };
    hierarchy.join(cgroup.trim_start_matches('/'))
}

/// Returns the bytes of memory that a cgroup uses.
pub(crate) fn memory(cgroup: &str) -> Result<u64> {
    memory_file(cgroup, "memory.current", "memory.usage_in_bytes")
}

/// Returns the limits of a cgroup as pairs of a file and its text.
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
        // Some kernels do not count swap, and some machines lack a controller.
        if file.exists() {
            let text = std::fs::read_to_string(&file);
            let text = text.with_context(|| format!("cannot read {}", file.display()))?;
            limits.push((*name, text.trim().to_owned()));
        }
    }
    Ok(limits)
}

/// Returns the memory limit of a cgroup in bytes.
pub(crate) fn memory_limit(cgroup: &str) -> Result<u64> {
    memory_file(cgroup, "memory.max", "memory.limit_in_bytes")
}

fn memory_file(cgroup: &str, version_2: &str, version_1: &str) -> Result<u64> {
    let name = if is_v2() { version_2 } else { version_1 };
    number(&directory("memory", cgroup).join(name))
}

/// Limits the number of processes and threads in a cgroup, which is made if it does not exist.
pub(crate) fn limit_processes(cgroup: &str, limit: u32) -> Result<()> {
    let directory = directory("pids", cgroup);
    std::fs::create_dir_all(&directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    if is_v2() {
        // Every cgroup above must pass the controller on, from the top down.
        let above: Vec<_> = directory
            .ancestors()
            .skip(1)
            .take_while(|path| path.starts_with(ROOT))
            .collect();
        for parent in above.into_iter().rev() {
            let file = parent.join("cgroup.subtree_control");
            write(&file, "+pids")?;
        }
    }
    let file = directory.join("pids.max");
    write(&file, &limit.to_string())
}

fn write(file: &Path, text: &str) -> Result<()> {
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// Returns this cgroup and all below it, in every hierarchy.
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
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    text.trim()
        .parse()
        .with_context(|| format!("{} holds {text:?}, not a number", path.display()))
}

/// Returns the cgroup of a process in the hierarchy of a controller.
pub(crate) fn of(pid: i32, controller: &str) -> Result<String> {
    let path = format!("/proc/{pid}/cgroup");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
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
        .with_context(|| format!("{path} has no hierarchy of {controller}: {text}"))?
        .to_owned())
}
