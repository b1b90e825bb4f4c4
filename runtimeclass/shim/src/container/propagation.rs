//! The propagation of a container's mounts, such as `rprivate`. libcontainer ignores it (docs/upstream/mount-propagation.md), so
//! each mount would have the root's: a private volume would show what the node mounts in it later, and a volume beside a
//! shared one would show the node what the container mounts.
//!
//! The container's process waits to be started, so its mounts are complete. A thread enters its mount namespace and changes them.

use anyhow::{Context, Result, anyhow};
use libcontainer::oci_spec::runtime::{Mount, Spec};
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};
use std::ffi::OsString;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// What a mount of the spec requires.
struct Required {
    destination: PathBuf,
    /// The propagation; `None` for the root's.
    kind: Option<MountPropagationFlags>,
    /// Whether it includes the mounts below.
    recursive: bool,
}

/// Gives the mounts of a container the propagation that its spec requires. `pid` is the container's process.
pub(super) fn apply(spec: &Spec, pid: i32) -> Result<()> {
    let required: Vec<_> = spec.mounts().iter().flatten().map(Required::of).collect();
    if required.iter().all(|mount| mount.kind.is_none()) {
        return Ok(());
    }
    let mounts = format!("/proc/{pid}/mountinfo");
    let mounts = std::fs::read(&mounts).with_context(|| format!("cannot read {mounts}"))?;
    let namespace = format!("/proc/{pid}/ns/mnt");
    let namespace = File::open(&namespace).with_context(|| format!("cannot open {namespace}"))?;
    let thread = std::thread::spawn(move || change(&namespace, required, mount_points(&mounts)));
    thread.join().map_err(|_| anyhow!("a thread panicked"))?
}

/// Moves this thread into a mount namespace, and changes the mounts there.
fn change(namespace: &File, mut required: Vec<Required>, points: Vec<PathBuf>) -> Result<()> {
    // A thread that shares its working directory with others cannot enter a mount namespace.
    // SAFETY: unshares no descriptors.
    unsafe { unshare_unsafe(UnshareFlags::FS) }.context("cannot unshare a working directory")?;
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Mount))
        .context("cannot enter the container's mount namespace")?;
    for mount in &mut required {
        // The image may have a link there, such as /var/run. The thread's root is the container's, so it leads nowhere else.
        if let Ok(resolved) = mount.destination.canonicalize() {
            mount.destination = resolved;
        }
    }
    for (point, kind) in changes(&required, points) {
        let describe = || format!("cannot change the propagation of {}", point.display());
        mount_change(&point, kind).with_context(describe)?;
    }
    Ok(())
}

impl Required {
    fn of(mount: &Mount) -> Self {
        let options = mount.options().iter().flatten();
        let required = options.filter_map(|option| kind(option)).last();
        Required {
            destination: mount.destination().clone(),
            kind: required.map(|(kind, _)| kind),
            recursive: required.is_some_and(|(_, recursive)| recursive),
        }
    }
}

/// Returns the propagation that an option of a mount names, and whether it includes the mounts below.
fn kind(option: &str) -> Option<(MountPropagationFlags, bool)> {
    let (name, recursive) = match option.strip_prefix('r') {
        Some(name) => (name, true),
        None => (option, false),
    };
    let kind = match name {
        "private" => MountPropagationFlags::PRIVATE,
        "slave" => MountPropagationFlags::DOWNSTREAM,
        "shared" => MountPropagationFlags::SHARED,
        "unbindable" => MountPropagationFlags::UNBINDABLE,
        _ => return None,
    };
    Some((kind, recursive))
}

/// Returns the changes to these mount points, one by one. A mount point belongs to the innermost mount of the spec that contains it,
/// because a recursive change of the outer one would separate a shared mount from the node's for ever.
fn changes(required: &[Required], points: Vec<PathBuf>) -> Vec<(PathBuf, MountPropagationFlags)> {
    let change = |point: PathBuf| {
        let containing = required
            .iter()
            .filter(|mount| point.starts_with(&mount.destination));
        let mount = containing.max_by_key(|mount| mount.destination.components().count())?;
        let included = mount.recursive || point == mount.destination;
        Some((point, mount.kind.filter(|_| included)?))
    };
    points.into_iter().filter_map(change).collect()
}

/// Returns the mount points in a `mountinfo` (proc_pid_mountinfo(5)).
fn mount_points(mountinfo: &[u8]) -> Vec<PathBuf> {
    let lines = mountinfo.split(|byte| *byte == b'\n');
    let points = lines.filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
    points.map(unescape).collect()
}

/// Undoes the kernel's escapes of bytes, such as `\040` for a space.
fn unescape(escaped: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(escaped.len());
    let mut rest = escaped;
    while let [first, tail @ ..] = rest {
        let octal = tail.get(..3).filter(|_| *first == b'\\');
        let byte = octal
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &tail[3..] } else { tail };
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mount_has_the_propagation_of_the_innermost_mount_of_the_spec() {
        let required = [
            ("/", "", ""),
            ("/a", "private", "r"),
            ("/a/b", "shared", "r"),
            ("/c", "slave", ""),
        ]
        .map(|(destination, name, prefix)| {
            let option = kind(&format!("{prefix}{name}"));
            Required {
                destination: destination.into(),
                kind: option.map(|(kind, _)| kind),
                recursive: option.is_some_and(|(_, recursive)| recursive),
            }
        });
        let points = [
            "/",
            "/proc",
            "/a",
            "/a/below",
            "/a/b",
            "/a/b/below",
            "/ab",
            "/c",
            "/c/below",
        ];
        let changed = changes(&required, points.map(PathBuf::from).into());
        let expected = [
            ("/a", MountPropagationFlags::PRIVATE),
            ("/a/below", MountPropagationFlags::PRIVATE),
            ("/a/b", MountPropagationFlags::SHARED),
            ("/a/b/below", MountPropagationFlags::SHARED),
            ("/c", MountPropagationFlags::DOWNSTREAM),
        ];
        assert_eq!(changed, expected.map(|(point, kind)| (point.into(), kind)));
    }

    #[test]
    fn mount_points_are_read_from_the_kernels_list() {
        let list = b"22 1 254:0 / / rw master:1 - ext4 /dev/vda rw\n\
            23 22 0:5 / /a\\040b\\134c rw - tmpfs tmpfs rw\n";
        assert_eq!(mount_points(list), ["/", "/a b\\c"].map(PathBuf::from));
    }

    #[test]
    fn options_that_name_no_propagation_are_left_alone() {
        for option in ["rbind", "ro", "rro", "nosuid", "relatime", "r", ""] {
            assert_eq!(kind(option), None, "{option}");
        }
    }
}
