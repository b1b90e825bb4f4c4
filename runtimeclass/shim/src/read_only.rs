//! Files on read-only mounts of their own, for processes in containers. A process that reaches such a file by a descriptor,
//! or by a link in /proc, cannot open it for writing, whatever rights it has (docs/upstream/own-binary.md).

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

/// Returns a descriptor (`O_PATH`) of the file at `path` on a new read-only mount outside of every tree. The mount lives as
/// long as the descriptor, or a process that executes the file.
pub(crate) fn mount(path: &str) -> Result<OwnedFd> {
    let describe = || format!("cannot mount {path} read-only (is the kernel Linux 5.12 or newer?)");
    let name = CString::new(path)?;
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC;
    // SAFETY: `name` is a zero-terminated string and outlives the call.
    let opened =
        unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, name.as_ptr(), flags) };
    let number = i32::try_from(checked(opened).with_context(describe)?)?;
    // SAFETY: the kernel has just created this descriptor for this process.
    let mounted = unsafe { OwnedFd::from_raw_fd(number) };
    let attributes = MountAttr {
        set: RDONLY,
        ..MountAttr::default()
    };
    // SAFETY: `attributes` has the given size. It and the empty path outlive the call.
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

/// Opens a file again, for reading, on a read-only mount.
pub(crate) fn reopen(file: &File) -> Result<File> {
    let path = |number: i32| format!("/proc/self/fd/{number}");
    let mounted = mount(&path(file.as_raw_fd()))?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path(mounted.as_raw_fd()), flags, Mode::empty());
    Ok(File::from(opened.context("cannot reopen a file")?))
}

fn checked(result: libc::c_long) -> std::io::Result<libc::c_long> {
    match result {
        -1 => Err(std::io::Error::last_os_error()),
        result => Ok(result),
    }
}
