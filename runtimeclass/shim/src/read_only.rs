//! Files on read-only mounts of their own, for processes in containers. A process that reaches such a file by a descriptor,
//! or by a link in /proc, cannot open it for writing, whatever rights it has (docs/upstream/own-binary.md).

use crate::detached::{Depth, DetachedMount};
use anyhow::{Context, Result};
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

/// Returns a descriptor (`O_PATH`) of the file at `path` on a new read-only mount outside of every tree. The mount lives as
/// long as the descriptor, or a process that executes the file.
pub(crate) fn mount(path: &str) -> Result<OwnedFd> {
    let describe = || format!("cannot mount {path} read-only (is the kernel Linux 5.12 or newer?)");
    let mount = DetachedMount::of(Path::new(path), Depth::One).with_context(describe)?;
    mount.make_read_only().with_context(describe)?;
    Ok(mount.into())
}

/// Opens a file again, for reading, on a read-only mount.
pub(crate) fn reopen(file: &File) -> Result<File> {
    let path = |number: i32| format!("/proc/self/fd/{number}");
    let mounted = mount(&path(file.as_raw_fd()))?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path(mounted.as_raw_fd()), flags, Mode::empty());
    Ok(File::from(opened.context("cannot reopen a file")?))
}
