//! Rewrites a bundle's `config.json` for libcontainer. containerd writes the file for runc, and the two read some missing
//! fields differently. The rewritten file means the same, and a second rewrite changes nothing.
//!
//! - A missing HOME is set to the user's (see [`super::home`]).
//! - Missing capability sets are empty. libcontainer would leave the process all capabilities
//!   (docs/upstream/capabilities.md).
//! - A missing umask is 022. libcontainer would leave the process the helper's.
//! - A process that serves a component has the capabilities of one that was executed (see [`super::capabilities`]).
//! - On cgroup version 1, the mount of the cgroups becomes one read-only mount in each hierarchy, of the container's own
//!   cgroup. libcontainer would mount them writable, those of other containers too, and would fail in a pod that shares
//!   processes (docs/upstream/cgroup-v1-mounts.md).
//! - The propagation of the root's mounts loses its first letter: `rslave` and `rshared` are `slave` and `shared`.
//!   libcontainer refuses the long names, which containerd writes, and applies both to all mounts below
//!   (docs/upstream/rootfs-propagation.md).

use super::{capabilities, home};
use anyhow::{Context, Result, ensure};
use serde::Serialize;
use serde_json::{Value, json};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

const CAPABILITY_SETS: [&str; 5] = [
    "bounding",
    "effective",
    "inheritable",
    "permitted",
    "ambient",
];

/// The controllers in which libcontainer creates a container's cgroup.
const CONTROLLERS: [&str; 12] = [
    "blkio",
    "cpu",
    "cpuacct",
    "cpuset",
    "devices",
    "freezer",
    "hugetlb",
    "memory",
    "net_cls",
    "net_prio",
    "perf_event",
    "pids",
];

const CGROUPS: &str = "/sys/fs/cgroup";

/// Rewrites the file of a container with this root directory.
pub(crate) fn config(path: &Path, root: &File) -> Result<()> {
    let describe = || format!("cannot read {}", path.display());
    let text = std::fs::read(path).with_context(describe)?;
    let mut spec: Value = serde_json::from_slice(&text).with_context(describe)?;
    ensure!(
        spec.is_object(),
        "cannot read {}: not a JSON object",
        path.display()
    );
    process(&mut spec["process"], root);
    if spec["process"]["args"][0].as_str().is_some_and(is_manifest) {
        capabilities::reduce_as_by_execve(&mut spec["process"]);
    }
    if let Some(propagation) = spec.pointer_mut("/linux/rootfsPropagation") {
        shorten_propagation(propagation);
    }
    // With version 2 alone there are no hierarchies to mount.
    mount_own_cgroups(&mut spec, &hierarchies(Path::new(CGROUPS)));
    write(path, &spec).with_context(|| format!("cannot write {}", path.display()))
}

/// Rewrites the description of a process, for a container with this root directory.
pub(crate) fn process(process: &mut Value, root: &File) {
    set_capabilities(process);
    set_umask(process);
    home::give(process, root);
}

/// Returns whether a first argument names a manifest. A container with such an argument serves a component.
pub(crate) fn is_manifest(first: &str) -> bool {
    first.ends_with(".toml")
}

/// The umask of a process whose description has none.
const UMASK: u32 = 0o022;

fn set_umask(process: &mut Value) {
    let Some(process) = process.as_object_mut() else {
        return;
    };
    let user = process.entry("user").or_insert(Value::Null);
    if user.is_null() {
        *user = json!({});
    }
    let Some(user) = user.as_object_mut() else {
        return;
    };
    let umask = user.entry("umask").or_insert(Value::Null);
    if umask.is_null() {
        *umask = json!(UMASK);
    }
}

fn set_capabilities(process: &mut Value) {
    let Some(process) = process.as_object_mut() else {
        return;
    };
    let sets = process.entry("capabilities").or_insert(Value::Null);
    if !sets.is_object() {
        *sets = json!({});
    }
    for name in CAPABILITY_SETS {
        if sets[name].is_null() {
            sets[name] = json!([]);
        }
    }
}

fn shorten_propagation(propagation: &mut Value) {
    let name = propagation.as_str().unwrap_or_default();
    if let Some(short @ ("private" | "shared" | "slave" | "unbindable")) = name.strip_prefix('r') {
        *propagation = json!(short);
    }
}

/// Replaces the mount of type `cgroup`. Removes it if systemd creates the cgroup, because then its path is unknown.
fn mount_own_cgroups(spec: &mut Value, hierarchies: &[(String, PathBuf)]) {
    if hierarchies.is_empty() {
        return;
    }
    let own = spec["linux"]["cgroupsPath"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let Some(mounts) = spec["mounts"].as_array_mut() else {
        return;
    };
    while let Some(at) = mounts.iter().position(|mount| mount["type"] == "cgroup") {
        let destination = mounts[at]["destination"]
            .as_str()
            .unwrap_or(CGROUPS)
            .to_owned();
        let mut instead = Vec::new();
        if own.starts_with('/') {
            instead.push(json!({
                "destination": destination, "type": "tmpfs", "source": "tmpfs",
                "options": ["noexec", "nosuid", "nodev", "mode=755"],
            }));
            instead.extend(hierarchies.iter().map(|(name, hierarchy)| {
                json!({
                    "destination": Path::new(&destination).join(name),
                    "type": "bind",
                    "source": hierarchy.join(own.trim_start_matches('/')),
                    "options": ["bind", "ro", "nosuid", "nodev", "noexec"],
                })
            }));
        }
        mounts.splice(at..=at, instead);
    }
}

/// Returns the hierarchies of version 1 with the names of their controllers.
fn hierarchies(root: &Path) -> Vec<(String, PathBuf)> {
    let of = |name: &str| Some((name.to_owned(), root.join(name)));
    let present = |entry: &(String, PathBuf)| entry.1.join("cgroup.procs").is_file();
    // A cgroup of version 2 may have the name of a controller, but then the root has this file.
    if root.join("cgroup.controllers").exists() {
        return Vec::new();
    }
    CONTROLLERS
        .into_iter()
        .filter_map(of)
        .filter(present)
        .collect()
}

/// Writes the file atomically, because containerd may read it.
pub(crate) fn write(path: &Path, spec: &impl Serialize) -> Result<()> {
    let temporary = path.with_extension("plain");
    let mut file = File::create(&temporary)?;
    file.write_all(&serde_json::to_vec(spec)?)?;
    std::fs::rename(&temporary, path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_capability_sets_are_empty() {
        for process in [
            json!({}),
            json!({"capabilities": null}),
            json!({"capabilities": {}}),
        ] {
            let mut process = process;
            set_capabilities(&mut process);
            for name in CAPABILITY_SETS {
                assert_eq!(process["capabilities"][name], json!([]), "{name}");
            }
        }
        let mut process = json!({"capabilities": {"bounding": ["CAP_CHOWN"]}});
        set_capabilities(&mut process);
        assert_eq!(process["capabilities"]["bounding"], json!(["CAP_CHOWN"]));
        assert_eq!(process["capabilities"]["effective"], json!([]));
    }

    #[test]
    fn a_missing_umask_is_022() {
        let mut process = json!({"user": {"uid": 1}});
        set_umask(&mut process);
        assert_eq!(process["user"], json!({"uid": 1, "umask": 0o022}));
        let mut process = json!({"user": {"uid": 1, "umask": 0o077}});
        set_umask(&mut process);
        assert_eq!(process["user"]["umask"], json!(0o077));
    }

    #[test]
    fn the_propagation_of_the_root_has_the_names_that_libcontainer_knows() {
        for (written, expected) in [
            (json!("rslave"), json!("slave")),
            (json!("rshared"), json!("shared")),
            (json!("shared"), json!("shared")),
            (json!("rwhat"), json!("rwhat")),
            (Value::Null, Value::Null),
        ] {
            let mut propagation = written;
            shorten_propagation(&mut propagation);
            assert_eq!(propagation, expected);
        }
    }

    #[test]
    fn a_component_loses_capabilities_and_a_program_keeps_them() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let root = File::open(directory.path()).expect("it is there");
        let path = directory.path().join("config.json");
        for (first, bounding) in [
            ("/app/spin.toml", json!([])),
            ("/bin/sh", json!(["CAP_KILL"])),
        ] {
            let process = json!({"args": [first], "capabilities": {"bounding": ["CAP_KILL"]}});
            let text = json!({ "process": process }).to_string();
            std::fs::write(&path, text).expect("it can be written");
            config(&path, &root).expect("it can be rewritten");
            let text = std::fs::read(&path).expect("it can be read");
            let spec: Value = serde_json::from_slice(&text).expect("it is JSON");
            assert_eq!(spec["process"]["capabilities"]["bounding"], bounding);
        }
    }

    #[test]
    fn on_version_1_the_containers_own_cgroups_are_mounted_read_only() {
        let mount = json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "options": ["ro"]});
        let spec = |path: &str| json!({"mounts": [{"type": "proc"}, mount], "linux": {"cgroupsPath": path}});
        let hierarchies = [("memory".to_owned(), PathBuf::from("/sys/fs/cgroup/memory"))];
        let mut plain = spec("/kubepods/pod/one");
        mount_own_cgroups(&mut plain, &hierarchies);
        let again = plain.clone();
        mount_own_cgroups(&mut plain, &hierarchies);
        assert_eq!(plain, again, "a second time changes nothing");
        assert_eq!(plain["mounts"].as_array().map(Vec::len), Some(3));
        let memory = &plain["mounts"][2];
        assert_eq!(memory["source"], "/sys/fs/cgroup/memory/kubepods/pod/one");
        assert_eq!(memory["destination"], "/sys/fs/cgroup/memory");
        assert!(
            memory["options"]
                .as_array()
                .is_some_and(|options| options.contains(&json!("ro")))
        );

        let mut systemd = spec("kubepods.slice:cri:one");
        mount_own_cgroups(&mut systemd, &hierarchies);
        assert_eq!(systemd["mounts"], json!([{"type": "proc"}]));
        let mut version_2 = spec("/kubepods/pod/one");
        mount_own_cgroups(&mut version_2, &[]);
        assert_eq!(version_2, spec("/kubepods/pod/one"));
    }
}
