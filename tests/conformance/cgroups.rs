//! cgroups of the node's own. Suites create cgroups at the top of every hierarchy and expect those of a whole machine.
//!
//! This program moves into a new cgroup in each hierarchy and starts itself again in a cgroup namespace, in which that
//! cgroup is the top. Then it mounts the hierarchies again. Everything that the suite leaves is thus below one cgroup,
//! which `cargo xtask conformance` removes.

use anyhow::{Context, Result};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::ffi::CString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use visits_support::cgroup;

/// Moves this process into new cgroups and replaces it by one in a namespace of them.
pub(crate) fn enter(name: &str) -> Result<ExitCode> {
    for above in cgroup::own()? {
        let directory = above.join(name);
        cgroup::create(&directory)?;
        cgroup::enter(&directory)?;
    }
    let error = Command::new("unshare")
        .arg("--cgroup")
        .arg(std::env::current_exe().context("cannot find this program")?)
        .arg("--inside")
        .args(std::env::args_os().skip(1))
        .exec();
    Err(error).context("cannot run unshare (is util-linux installed?)")
}

/// Mounts each hierarchy again, so that its top is the node's own cgroup.
pub(crate) fn mount_all() -> Result<()> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").context("cannot read the mounts")?;
    for line in mounts.lines() {
        let words: Vec<_> = line.split(' ').collect();
        let [_, target, kind @ ("cgroup" | "cgroup2"), options, ..] = words[..] else {
            continue;
        };
        if !Path::new(target).starts_with(cgroup::ROOT) {
            continue;
        }
        // The options of the hierarchy itself, without those of the mount.
        let hierarchy: Vec<_> = options
            .split(',')
            .filter(|option| {
                !["rw", "ro", "relatime", "nosuid", "nodev", "noexec"].contains(option)
            })
            .collect();
        let data = CString::new(if kind == "cgroup" {
            hierarchy.join(",")
        } else {
            String::new()
        })?;
        unmount(target, UnmountFlags::DETACH)
            .with_context(|| format!("cannot unmount {target}"))?;
        mount(kind, target, kind, MountFlags::empty(), data.as_c_str())
            .with_context(|| format!("cannot mount the cgroups {target}"))?;
    }
    if cgroup::is_v2() {
        // The top must be free of processes to delegate controllers.
        let top = Path::new(cgroup::ROOT);
        let own = top.join("node");
        cgroup::create(&own)?;
        cgroup::enter(&own)?;
        cgroup::delegate(top);
    }
    Ok(())
}

/// Thaws all of the node's processes, so that they can be killed.
pub(crate) fn thaw() {
    for hierarchy in cgroup::hierarchies() {
        cgroup::thaw(&hierarchy);
    }
}
