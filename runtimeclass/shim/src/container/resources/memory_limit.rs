//! The container's memory limit, in a file of eight bytes in the bundle. The container's process maps the file read-only.
//! So the limit of a running component follows its container's, and the process holds no descriptor of the node.

use crate::request::Location;
use anyhow::{Context, Result};
use rustix::mm::{MapFlags, ProtFlags, mmap};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::ptr;
use std::sync::atomic::AtomicU64;

/// The value of a container without a limit.
pub(crate) const UNLIMITED: u64 = u64::MAX;

/// Creates the file with this limit in bytes, and maps it for the container's process.
pub(crate) fn publish(location: &Location, limit: Option<u64>) -> Result<&'static AtomicU64> {
    let path = location.memory_limit();
    let value = limit.unwrap_or(UNLIMITED);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path);
    file.and_then(|file| std::os::unix::fs::FileExt::write_all_at(&file, &value.to_ne_bytes(), 0))
        .with_context(|| format!("cannot write {}", path.display()))?;
    map(&path, OpenOptions::new().read(true), ProtFlags::READ)
}

/// Maps the limit that the container's process sees, to change it. Returns `None` if the container is native and has no such
/// file.
pub(crate) fn open(location: &Location) -> Result<Option<&'static AtomicU64>> {
    let path = location.memory_limit();
    if !path.exists() {
        return Ok(None);
    }
    let access = ProtFlags::READ | ProtFlags::WRITE;
    map(&path, OpenOptions::new().read(true).write(true), access).map(Some)
}

/// Maps the file until the process ends.
fn map(path: &Path, options: &OpenOptions, protection: ProtFlags) -> Result<&'static AtomicU64> {
    let file: File = options
        .open(path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    let length = size_of::<AtomicU64>();
    // SAFETY: a new mapping that replaces no other one.
    let address = unsafe {
        mmap(
            ptr::null_mut(),
            length,
            protection,
            MapFlags::SHARED,
            &file,
            0,
        )
    }
    .with_context(|| format!("cannot map {}", path.display()))?;
    // SAFETY: the address is a page's, so it is aligned. The mapping is never removed. Only root can open the file, which is
    // created with its full size, never shortened, and removed as a whole. Every process writes by one atomic operation.
    Ok(unsafe { &*address.cast::<AtomicU64>() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn a_changed_limit_is_seen_in_every_mapping() {
        let bundle = tempfile::tempdir().expect("a temporary directory");
        let location = Location::new("test", "one", bundle.path());
        assert!(open(&location).expect("nothing fails").is_none(), "no file");
        let seen = publish(&location, Some(64 << 20)).expect("it can be mapped");
        assert_eq!(seen.load(Ordering::Acquire), 64 << 20);
        let limit = open(&location)
            .expect("it can be mapped")
            .expect("it is there");
        limit.store(32 << 20, Ordering::Release);
        assert_eq!(seen.load(Ordering::Acquire), 32 << 20);
        let seen = publish(&location, None).expect("it can be mapped");
        assert_eq!(seen.load(Ordering::Acquire), UNLIMITED);
    }
}
