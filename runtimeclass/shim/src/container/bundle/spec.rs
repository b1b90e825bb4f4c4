//! Readers of a container's specification.

use super::rewrite::is_manifest;
use crate::request::Location;
use anyhow::{Context, Result};
use libcontainer::oci_spec::runtime::{LinuxDeviceCgroup, Process, Spec};
use libcontainer::utils::get_cgroup_path;
use std::path::PathBuf;

/// The PATH of a process whose environment has none.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The annotation with the Kubernetes namespace of a pod.
const NAMESPACE: &str = "io.kubernetes.cri.sandbox-namespace";

/// Reads the `config.json` of a bundle.
pub(crate) fn load(location: &Location) -> Result<Spec> {
    let path = location.config();
    Spec::load(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// Returns the arguments of the container's process, its program first.
pub(crate) fn arguments(spec: &Spec) -> &[String] {
    let process = spec.process().as_ref();
    process
        .and_then(|process| process.args().as_deref())
        .unwrap_or_default()
}

/// Returns the manifest that the container's first argument names, as an absolute path in the container.
pub(crate) fn manifest(spec: &Spec) -> Option<PathBuf> {
    let first = arguments(spec).first()?;
    let process = spec.process().as_ref()?;
    is_manifest(first).then(|| process.cwd().join(first))
}

/// Returns the user that the container's process becomes.
pub(crate) fn user(spec: &Spec) -> u32 {
    spec.process()
        .as_ref()
        .map_or(0, |process| process.user().uid())
}

/// Returns the path of the container's root directory on the node.
pub(crate) fn root(spec: &Spec, location: &Location) -> Result<PathBuf> {
    let root = spec.root().as_ref();
    let root = root.context("the container has no root file system")?;
    Ok(location.bundle.join(root.path()))
}

/// Returns the path of the cgroup that libcontainer creates for the container.
pub(crate) fn cgroup_path(spec: &Spec, location: &Location) -> PathBuf {
    let linux = spec.linux().as_ref();
    let path = linux.and_then(|linux| linux.cgroups_path().clone());
    get_cgroup_path(&path, &location.id)
}

/// Returns the container's memory limit in bytes.
pub(crate) fn memory_limit(spec: &Spec) -> Option<u64> {
    let resources = spec.linux().as_ref()?.resources().as_ref()?;
    // A negative limit is unlimited.
    let limit = resources.memory().as_ref()?.limit()?;
    u64::try_from(limit).ok().filter(|limit| *limit > 0)
}

/// Returns the container's own rules for devices.
pub(crate) fn device_rules(spec: &Spec) -> &[LinuxDeviceCgroup] {
    let linux = spec.linux().as_ref();
    let resources = linux.and_then(|linux| linux.resources().as_ref());
    let rules = resources.and_then(|resources| resources.devices().as_deref());
    rules.unwrap_or_default()
}

/// Returns the owner of the container's share of the node's cache and compilers: its Kubernetes namespace, or
/// containerd's if it has none.
pub(crate) fn owner(spec: &Spec, location: &Location) -> String {
    let annotations = spec.annotations().as_ref();
    let namespace = annotations.and_then(|annotations| annotations.get(NAMESPACE));
    let containerd = location.state.file_name().unwrap_or_default();
    match namespace {
        Some(namespace) => format!("kubernetes {namespace}"),
        None => format!("containerd {}", containerd.display()),
    }
}

/// Returns the PATH of a process. If its environment has several, the last one counts, as in runc.
pub(crate) fn search_path(process: &Process) -> &str {
    let variables = process.env().iter().flatten().rev();
    let mut path = variables.filter_map(|variable| variable.strip_prefix("PATH="));
    path.next().unwrap_or(DEFAULT_PATH)
}

/// Returns the directories of a process's PATH, as absolute paths in the container.
pub(crate) fn search_directories(process: &Process) -> Vec<PathBuf> {
    let directories = search_path(process).split(':');
    directories
        .map(|directory| process.cwd().join(directory))
        .collect()
}

/// Returns the paths at which a process looks for the program `name`, in order.
pub(crate) fn program_paths(process: &Process, name: &str) -> Vec<PathBuf> {
    if name.contains('/') {
        return vec![process.cwd().join(name)];
    }
    let directories = search_directories(process);
    directories
        .iter()
        .map(|directory| directory.join(name))
        .collect()
}
