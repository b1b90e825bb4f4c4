//! The propagation of a container's mounts, such as `rprivate`. libcontainer ignores it
//! (docs/upstream/mount-propagation.md), so each bind mount would have the root's: a private volume would show what the node
//! mounts in it later, and a volume beside a shared one would show the node what the container mounts.
//!
//! The container's process waits to be started, so its mounts are complete. A thread enters its mount namespace and changes
//! them.

use anyhow::{Context, Result, anyhow};
use libcontainer::oci_spec::runtime::{Mount, Spec};
use rustix::io::Errno;
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
    /// The changes in their order; none if the root's propagation is to stay.
    kinds: Vec<MountPropagationFlags>,
}

/// A change of one mount, or with `REC` of all below it, too.
#[derive(Debug, PartialEq)]
struct Change {
    point: PathBuf,
    kind: MountPropagationFlags,
    /// Whether another mount may hide this one, which then cannot be found by its path and stays as it is.
    may_be_hidden: bool,
}

/// Gives the mounts of a container the propagation that its spec requires. `pid` is the container's process.
pub(super) fn apply(spec: &Spec, pid: i32) -> Result<()> {
    let required: Vec<_> = spec.mounts().iter().flatten().map(Required::of).collect();
    if required.iter().all(|mount| mount.kinds.is_empty()) {
        return Ok(());
    }
    let mounts = format!("/proc/{pid}/mountinfo");
    let mounts = std::fs::read(&mounts).with_context(|| format!("cannot read {mounts}"))?;
    let namespace = format!("/proc/{pid}/ns/mnt");
    let namespace = File::open(&namespace).with_context(|| format!("cannot open {namespace}"))?;
    let thread = std::thread::spawn(move || change(&namespace, required, &mount_points(&mounts)));
    thread.join().map_err(|_| anyhow!("a thread panicked"))?
}

/// Moves this thread into a mount namespace, and changes the mounts there.
fn change(namespace: &File, mut required: Vec<Required>, points: &[PathBuf]) -> Result<()> {
    // A thread that shares its working directory with others cannot enter a mount namespace.
    // SAFETY: unshares no descriptors.
    unsafe { unshare_unsafe(UnshareFlags::FS) }.context("cannot unshare a working directory")?;
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Mount))
        .context("cannot enter the container's mount namespace")?;
    for mount in &mut required {
        // The image may have a link there, such as /var/run. Links are resolved inside the container's root.
        if let Ok(resolved) = mount.destination.canonicalize() {
            mount.destination = resolved;
        }
    }
    for change in changes(&required, points) {
        match mount_change(&change.point, change.kind) {
            Err(Errno::INVAL | Errno::NOENT | Errno::NOTDIR | Errno::STALE)
                if change.may_be_hidden => {}
            changed => changed.with_context(|| {
                let point = change.point.display();
                format!("cannot change the propagation of the mount {point}")
            })?,
        }
    }
    Ok(())
}

impl Required {
    fn of(mount: &Mount) -> Self {
        let options = mount.options().iter().flatten();
        Required {
            destination: mount.destination().clone(),
            kinds: options.filter_map(|option| kind(option)).collect(),
        }
    }
}

/// Returns the propagation that an option of a mount names, with `REC` if it includes the mounts below.
fn kind(option: &str) -> Option<MountPropagationFlags> {
    let (name, depth) = match option.strip_prefix('r') {
        Some(name) => (name, MountPropagationFlags::REC),
        None => (option, MountPropagationFlags::empty()),
    };
    let kind = match name {
        "private" => MountPropagationFlags::PRIVATE,
        "slave" => MountPropagationFlags::DOWNSTREAM,
        "shared" => MountPropagationFlags::SHARED,
        "unbindable" => MountPropagationFlags::UNBINDABLE,
        _ => return None,
    };
    Some(kind | depth)
}

/// Returns the changes in the order of the spec. `points` are the mount points of the container.
///
/// If a mount of the spec contains another one, its recursive change is made point by point, without those of the inner one:
/// a mount that leaves the node's peer group cannot return to it.
fn changes(required: &[Required], points: &[PathBuf]) -> Vec<Change> {
    let mut changes = Vec::new();
    for mount in required {
        let inner = required.iter().map(|other| &other.destination);
        let inner =
            inner.filter(|it| *it != &mount.destination && it.starts_with(&mount.destination));
        let inner: Vec<_> = inner.collect();
        for &kind in &mount.kinds {
            let whole = inner.is_empty() || !kind.contains(MountPropagationFlags::REC);
            let kind = match whole {
                true => kind,
                false => kind - MountPropagationFlags::REC,
            };
            changes.push(Change {
                point: mount.destination.clone(),
                kind,
                may_be_hidden: false,
            });
            if whole {
                continue;
            }
            let below = points.iter().filter(|point| {
                *point != &mount.destination
                    && point.starts_with(&mount.destination)
                    && !inner.iter().any(|it| point.starts_with(it))
            });
            changes.extend(below.map(|point| Change {
                point: point.clone(),
                kind,
                may_be_hidden: true,
            }));
        }
    }
    changes
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

    fn required(mounts: &[(&str, &[&str])]) -> Vec<Required> {
        let mounts = mounts.iter().map(|(destination, options)| Required {
            destination: destination.into(),
            kinds: options.iter().filter_map(|option| kind(option)).collect(),
        });
        mounts.collect()
    }

    #[test]
    fn a_mount_that_contains_no_other_is_changed_with_all_below_it() {
        let points = ["/", "/a", "/a/below", "/ab"].map(PathBuf::from);
        let required = required(&[("/a", &["rbind", "rslave", "shared"]), ("/ab", &["ro"])]);
        let change = |kind| Change {
            point: "/a".into(),
            kind,
            may_be_hidden: false,
        };
        let slave = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
        let expected = [change(slave), change(MountPropagationFlags::SHARED)];
        assert_eq!(changes(&required, &points), expected);
    }

    #[test]
    fn a_mount_that_contains_another_is_changed_without_it() {
        let points = ["/", "/a", "/a/below", "/a/b", "/a/b/below"].map(PathBuf::from);
        let required = required(&[("/a", &["rprivate"]), ("/a/b", &["rshared"])]);
        let change = |point: &str, kind, may_be_hidden| Change {
            point: point.into(),
            kind,
            may_be_hidden,
        };
        let shared = MountPropagationFlags::SHARED | MountPropagationFlags::REC;
        let expected = [
            change("/a", MountPropagationFlags::PRIVATE, false),
            change("/a/below", MountPropagationFlags::PRIVATE, true),
            change("/a/b", shared, false),
        ];
        assert_eq!(changes(&required, &points), expected);
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
