//! Files on read-only mounts of their own, for processes in containers. Whoever gets at a descriptor, or at the link in
//! /proc that leads to such a file, cannot open it for writing, whatever its rights
//! (docs/upstream/own-binary.md).

use anyhow::{Context, Result};
use rustix::fs::{Mode, OFlags};
use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// `MOUNT_ATTR_RDONLY` of <linux/mount.h>.
const RDONLY: u64 = 1;

/// `struct mount_attr` of <linux/mount.h>.
#[repr(C)]
#[derive(Default)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns: u64,
}

/// Returns the file at `path`, opened for nothing, on a new mount that is read-only and in no tree. It is there as long as
/// the descriptor, or a process that executes it.
pub(crate) fn mount(path: &str) -> Result<OwnedFd> {
    let describe = || {
        format!("cannot mount {path} read-only, for which the kernel must be Linux 5.12 or newer")
    };
    let name = CString::new(path)?;
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC;
    // SAFETY: `name` is text that ends with a zero and outlives the call.
    let opened =
        unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, name.as_ptr(), flags) };
    let number = i32::try_from(checked(opened).with_context(describe)?)?;
    // SAFETY: the kernel has just made this descriptor for this process.
    let mounted = unsafe { OwnedFd::from_raw_fd(number) };
    let attributes = MountAttr {
        set: RDONLY,
        ..MountAttr::default()
    };
    // SAFETY: `attributes` is as large as is said and outlives the call, and so does the empty path.
    let changed = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mounted.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attributes,
            size_of::<MountAttr>(),
        )
    };
    checked(changed).with_context(describe)?;
    Ok(mounted)
}

/// Opens a file again, for reading and by a read-only mount.
pub(crate) fn reopen(file: &File) -> Result<File> {
    let path = |number: i32| format!("/proc/self/fd/{number}");
    let mounted = mount(&path(file.as_raw_fd()))?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path(mounted.as_raw_fd()), flags, Mode::empty());
    Ok(File::from(opened.context("cannot open a file again")?))
}

fn checked(result: libc::c_long) -> std::io::Result<libc::c_long> {
    match result {
        -1 => Err(std::io::Error::last_os_error()),
        result => Ok(result),
    }
}
