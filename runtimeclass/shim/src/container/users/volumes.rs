//! The sources of a container's mounts: its volumes and the pod's files. The helper copies them to a directory that the
//! container's root reaches, because in its user namespace that user cannot enter the node's private directories.
//!
//! The copies are in a mount namespace of the helper. The container's process is forked there and leaves it for its own, so
//! the node never sees them, and the kernel removes them with the helper.

use crate::detached::{Depth, DetachedMount};
use crate::request::Location;
use anyhow::{Context, Result, ensure};
use libcontainer::oci_spec::runtime::{Mount, Spec};
use rustix::fs::{FileType, fstat};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use std::fs::File;
use std::path::{Path, PathBuf};

/// The directory of the cgroups. Every user can enter it, and on version 1 the container's cgroups do not exist yet.
const CGROUPS: &str = "/sys/fs/cgroup";

/// Replaces the source of each bind mount by a copy, whose owners are mapped if the mount requires it.
pub(super) fn stage(spec: &mut Spec, location: &Location, user_namespace: &File) -> Result<()> {
    let directory = directory(location)?;
    for (at, mount) in spec.mounts_mut().iter_mut().flatten().enumerate() {
        let options = Options::of(mount);
        let Some(source) = mount.source().as_deref().filter(|_| options.bind) else {
            ensure!(
                !options.maps_ids,
                "cannot map the ids of the mount {}: it is no bind mount",
                mount.destination().display()
            );
            continue;
        };
        if source.starts_with(CGROUPS) {
            continue;
        }
        let staged = copy(
            source,
            &directory.join(at.to_string()),
            &options,
            user_namespace,
        )
        .with_context(|| format!("cannot mount {}", source.display()))?;
        mount.set_source(Some(staged));
        mount.set_uid_mappings(None).set_gid_mappings(None);
        let kept = mount.options().iter().flatten();
        let kept = kept.filter(|option| !ID_MAPPED.contains(&option.as_str()));
        let kept = kept.cloned().collect();
        mount.set_options(Some(kept));
    }
    Ok(())
}

/// The options that map the ids of a mount, and of all mounts below it.
const ID_MAPPED: [&str; 2] = ["idmap", "ridmap"];

/// The options of a mount that decide about its copy.
struct Options {
    bind: bool,
    depth: Depth,
    maps_ids: bool,
    mapped: Depth,
}

impl Options {
    fn of(mount: &Mount) -> Self {
        let options = mount.options().as_deref().unwrap_or_default();
        let has = |name: &str| options.iter().any(|option| option == name);
        let depth = |all: bool| if all { Depth::All } else { Depth::One };
        Self {
            bind: mount.typ().as_deref() == Some("bind") || has("bind") || has("rbind"),
            depth: depth(has("rbind")),
            maps_ids: mount.uid_mappings().is_some() || ID_MAPPED.iter().any(|name| has(name)),
            mapped: depth(has("ridmap")),
        }
    }
}

/// Moves this process into a mount namespace of its own, and returns an empty directory there.
fn directory(location: &Location) -> Result<PathBuf> {
    let directory = location.volumes();
    let describe = || format!("cannot mount {}", directory.display());
    std::fs::create_dir_all(&directory).with_context(describe)?;
    // SAFETY: unshares no descriptors.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.context("cannot create a mount namespace")?;
    // Mounts of the node still arrive here, but nothing leaves.
    let propagation = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    mount_change("/", propagation).with_context(describe)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("tmpfs", &directory, "tmpfs", flags, c"mode=711").with_context(describe)?;
    Ok(directory)
}

fn copy(source: &Path, point: &Path, options: &Options, user_namespace: &File) -> Result<PathBuf> {
    let mount = DetachedMount::of(source, options.depth)?;
    if options.maps_ids {
        mount
            .map_ids(user_namespace, options.mapped)
            .context("cannot map its ids (does its file system support id-mapped mounts?)")?;
    }
    match FileType::from_raw_mode(fstat(&mount)?.st_mode).is_dir() {
        true => std::fs::create_dir(point)?,
        false => drop(File::create(point)?),
    }
    mount.attach(point)?;
    Ok(point.to_owned())
}
