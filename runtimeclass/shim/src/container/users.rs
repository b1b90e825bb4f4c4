//! A container's user namespace (Kubernetes' `hostUsers: false`): its users are other users of the node.
//!
//! libcontainer creates user namespaces only with systemd, and refuses id-mapped mounts (docs/upstream/user-namespaces.md).
//! So the helper opens or creates the namespace, and mounts the volumes and the image's layers. It writes what it made into
//! `config.json`, and libcontainer joins a namespace that exists and binds mounts that are mapped already.
//!
//! - `mapping`: the ids of a container's users on the node
//! - `namespace`: the user namespace, created or joined
//! - `layers`: the image's layers with mapped ids
//! - `volumes`: the sources of the container's mounts, where its root reaches them

mod layers;
mod mapping;
mod namespace;
mod volumes;

pub(super) use layers::Layers;
pub(super) use mapping::Users;

use super::bundle::rewrite;
use crate::request::Location;
use anyhow::{Context, Result};
use libcontainer::oci_spec::runtime::{LinuxNamespaceType, Spec};
use libcontainer::syscall::syscall::SyscallType;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::PathBuf;

/// Opens the container's user namespace, or creates it. Returns `None` if the container has none.
pub(super) fn open(spec: &Spec, users: &Users) -> Result<Option<File>> {
    let Some(ids) = users.ids() else {
        return Ok(None);
    };
    let namespaces = spec.linux().as_ref();
    let namespaces = namespaces.and_then(|linux| linux.namespaces().as_deref());
    let mut namespaces = namespaces.unwrap_or_default().iter();
    let user = namespaces.find(|namespace| namespace.typ() == LinuxNamespaceType::User);
    let path = user.and_then(|namespace| namespace.path().as_deref());
    namespace::open(path, ids).map(Some)
}

/// Changes the container's `config.json` so that libcontainer joins this user namespace. Returns the open files that the
/// changed file names. They must stay open until the container's process exists.
pub(super) fn join(spec: &mut Spec, location: &Location, user: File) -> Result<Vec<File>> {
    volumes::stage(spec, location, &user)?;
    let files = name_by_descriptors(spec, user)?;
    let path = location.config();
    rewrite::write(&path, spec).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(files)
}

/// Replaces the paths of the container's namespaces by descriptors. In a user namespace, a process cannot open a path that
/// only the node's root may.
fn name_by_descriptors(spec: &mut Spec, user: File) -> Result<Vec<File>> {
    let path_of = |file: &File| PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let linux = spec.linux_mut().as_mut();
    let namespaces = linux.and_then(|linux| linux.namespaces_mut().as_mut());
    let mut files = Vec::new();
    for namespace in namespaces.into_iter().flatten() {
        if namespace.typ() == LinuxNamespaceType::User {
            namespace.set_path(Some(path_of(&user)));
        } else if let Some(path) = namespace.path() {
            let opened = File::open(path);
            let file =
                opened.with_context(|| format!("cannot open the namespace {}", path.display()))?;
            namespace.set_path(Some(path_of(&file)));
            files.push(file);
        }
    }
    files.push(user);
    Ok(files)
}

/// Sets the limits of the container's process for this process, which forks it. libcontainer sets them after it has joined
/// the user namespace, where a process may lower a limit but not raise it.
pub(super) fn set_limits(spec: &Spec) -> Result<()> {
    let process = spec.process().as_ref();
    let limits = process.and_then(|process| process.rlimits().as_deref());
    let syscall = SyscallType::default().create_syscall();
    for limit in limits.unwrap_or_default() {
        let set = syscall.set_rlimit(limit);
        set.with_context(|| format!("cannot set the limit {}", limit.typ()))?;
    }
    Ok(())
}
