//! Mounts outside of every tree: copies of mounts, changed before anything sees them.

use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Attributes of <linux/mount.h>.
const MOUNT_ATTR_RDONLY: u64 = 1;
const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;

/// `struct mount_attr` of <linux/mount.h>.
#[repr(C)]
#[derive(Default)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns: u64,
}

/// A mount outside of every tree. It lives as long as this, a process that executes a file on it, or the point at which it is
/// attached.
pub(crate) struct DetachedMount(OwnedFd);

/// The mounts that a copy or a change includes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// The mount itself.
    One,
    /// The mount and all mounts below it.
    All,
}

impl Depth {
    fn flag(self) -> libc::c_int {
        match self {
            Self::One => 0,
            Self::All => libc::AT_RECURSIVE,
        }
    }
}

impl DetachedMount {
    /// Copies the file or directory at `path`.
    pub(crate) fn of(path: &Path, depth: Depth) -> Result<Self, Errno> {
        let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        flags.set(OpenTreeFlags::AT_RECURSIVE, depth == Depth::All);
        open_tree(CWD, path, flags).map(Self)
    }

    /// Makes the mount read-only.
    pub(crate) fn make_read_only(&self) -> Result<(), Errno> {
        let attributes = MountAttr {
            set: MOUNT_ATTR_RDONLY,
            ..MountAttr::default()
        };
        self.change(&attributes, Depth::One)
    }

    /// Separates the mount from the one that it was copied from: later mounts on one do not appear on the other.
    pub(crate) fn make_private(&self) -> Result<(), Errno> {
        let attributes = MountAttr {
            propagation: libc::MS_PRIVATE,
            ..MountAttr::default()
        };
        self.change(&attributes, Depth::One)
    }

    /// Maps the owners of files by a user namespace: the file system's id 0 appears as the namespace's root.
    pub(crate) fn map_ids(&self, user_namespace: impl AsFd, depth: Depth) -> Result<(), Errno> {
        let number = user_namespace.as_fd().as_raw_fd();
        let attributes = MountAttr {
            set: MOUNT_ATTR_IDMAP,
            userns: u64::from(number.cast_unsigned()),
            ..MountAttr::default()
        };
        self.change(&attributes, depth)
    }

    /// Attaches the mount at `path`.
    pub(crate) fn attach(self, path: &Path) -> Result<(), Errno> {
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        move_mount(&self.0, "", CWD, path, flags)
    }

    fn change(&self, attributes: &MountAttr, depth: Depth) -> Result<(), Errno> {
        // SAFETY: `attributes` has the given size. It and the empty path outlive the call.
        let changed = unsafe {
            libc::syscall(
                libc::SYS_mount_setattr,
                self.0.as_raw_fd(),
                c"".as_ptr(),
                libc::AT_EMPTY_PATH | depth.flag(),
                std::ptr::from_ref(attributes),
                size_of::<MountAttr>(),
            )
        };
        match changed {
            0 => Ok(()),
            _ => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)),
        }
    }
}

impl AsFd for DetachedMount {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<DetachedMount> for OwnedFd {
    fn from(mount: DetachedMount) -> Self {
        mount.0
    }
}
