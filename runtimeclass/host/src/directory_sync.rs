//! Syncs of directories: one at a time for each directory of ext2 and ext4.
//!
//! Without a journal, which `mkfs.ext4` does not make for 1 MiB, a sync of a directory may return while an earlier change of it
//! is still being written. It happens if another sync of it is under way: that one has taken the changed blocks from the
//! directory's list, and the second sync finds the list empty and waits for nothing (seen on Linux 6.18: `fsync_buffers_list`
//! in the kernel's fs/buffer.c). If the power goes then, the change is lost although its sync has succeeded.
//!
//! So this host syncs such a directory under a lock, by `flock`, which holds for all hosts and containers of the machine.

use rustix::fs::{FlockOperation, Mode, OFlags, flock, fsync, openat};
use rustix::io::{Errno, retry_on_intr};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use tokio::task::spawn_blocking;
use wasmtime::StoreContextMut;
use wasmtime::component::{Accessor, Linker, Resource, ResourceTable};
use wasmtime_wasi::TrappableError;
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystem, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::filesystem::types as types2;
use wasmtime_wasi::p3::bindings::filesystem::types as types3;

/// The interface in both versions of WASI.
const TYPES_2: &str = "wasi:filesystem/types@0.2.12";
const TYPES_3: &str = "wasi:filesystem/types@0.3.0";

/// The functions that sync. They differ in what they do with a file's times.
const SYNC: &str = "[method]descriptor.sync";
const SYNC_DATA: &str = "[method]descriptor.sync-data";

/// The type numbers of ext2, ext3 and ext4, which share one, and of overlayfs, which may stand on them. They are from the kernel's
/// include/uapi/linux/magic.h.
#[cfg(target_os = "linux")]
const LOCKED: [u32; 2] = [0xef53, 0x794c_7630];

/// Replaces the functions that sync in a linker that has WASI 0.2 and 0.3. Files are synced as before.
pub(crate) fn add_to_linker<T: WasiFilesystemView + 'static>(
    linker: &mut Linker<T>,
) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    for name in [SYNC, SYNC_DATA] {
        add_to_preview2(linker, name)?;
        add_to_preview3(linker, name)?;
    }
    linker.allow_shadowing(false);
    Ok(())
}

fn add_to_preview2<T: WasiFilesystemView + 'static>(
    linker: &mut Linker<T>,
    name: &'static str,
) -> wasmtime::Result<()> {
    use types2::HostDescriptor;
    linker.instance(TYPES_2)?.func_wrap_async(
        name,
        move |mut store: StoreContextMut<'_, T>, (descriptor,): (Resource<Descriptor>,)| {
            Box::new(async move {
                let mut wasi = store.data_mut().filesystem();
                if let Some(directory) = directory(wasi.table, &descriptor)? {
                    return Ok((sync(directory).await.map_err(Into::into),));
                }
                let synced = match name {
                    SYNC_DATA => wasi.sync_data(descriptor).await,
                    _ => HostDescriptor::sync(&mut wasi, descriptor).await,
                };
                Ok((reported(synced)?,))
            })
        },
    )
}

fn add_to_preview3<T: WasiFilesystemView + 'static>(
    linker: &mut Linker<T>,
    name: &'static str,
) -> wasmtime::Result<()> {
    use types3::HostDescriptorWithStore;
    linker.instance(TYPES_3)?.func_wrap_concurrent(
        name,
        move |accessor: &Accessor<T>, (descriptor,): (Resource<Descriptor>,)| {
            Box::pin(async move {
                let found = accessor.with(|mut access| {
                    directory(access.data_mut().filesystem().table, &descriptor)
                });
                if let Some(directory) = found? {
                    return Ok((sync(directory).await.map_err(Into::into),));
                }
                let wasi = accessor.with_getter::<WasiFilesystem>(T::filesystem);
                let synced = match name {
                    SYNC_DATA => WasiFilesystem::sync_data(&wasi, descriptor).await,
                    _ => WasiFilesystem::sync(&wasi, descriptor).await,
                };
                Ok((reported(synced)?,))
            })
        },
    )
}

/// Returns the result for the component; fails if the component traps.
fn reported<E: std::error::Error + Send + Sync + 'static>(
    synced: Result<(), TrappableError<E>>,
) -> wasmtime::Result<Result<(), E>> {
    Ok(match synced {
        Ok(()) => Ok(()),
        Err(error) => Err(error.downcast()?),
    })
}

/// Returns the directory behind a descriptor; `None` if it is a file.
fn directory(
    table: &ResourceTable,
    descriptor: &Resource<Descriptor>,
) -> wasmtime::Result<Option<Arc<File>>> {
    Ok(match table.get(descriptor)? {
        Descriptor::Dir(directory) => Some(directory.dir.clone()),
        Descriptor::File(_) => None,
    })
}

/// Syncs a directory on a thread for file calls.
async fn sync(directory: Arc<File>) -> io::Result<()> {
    let synced = spawn_blocking(move || sync_now(&directory));
    // It fails only if the call panicked, or if the threads of its instance are gone.
    synced.await.unwrap_or_else(|_| Err(Errno::IO.into()))
}

fn sync_now(directory: &File) -> io::Result<()> {
    let _locked = is_locked(directory)?.then(|| lock(directory)).transpose()?;
    // The kernel reports a write that failed in the background once to each opening, so the component's own is synced. (A write that
    // failed within a sync is reported to that sync only.)
    match fsync(directory) {
        // It was opened with O_PATH, as the preopened directories are.
        Err(Errno::BADF) => Ok(fsync(open(directory)?)?),
        synced => Ok(synced?),
    }
}

/// Locks a directory. It is unlocked when the result is dropped.
fn lock(directory: &File) -> io::Result<OwnedFd> {
    let locked = open(directory)?;
    retry_on_intr(|| flock(&locked, FlockOperation::LockExclusive))?;
    Ok(locked)
}

/// Opens a directory again.
fn open(directory: &File) -> io::Result<OwnedFd> {
    Ok(openat(directory, ".", OFlags::CLOEXEC, Mode::empty())?)
}

/// Returns whether a directory is synced under a lock.
fn is_locked(directory: &File) -> io::Result<bool> {
    #[cfg(target_os = "linux")]
    // The field's type differs between architectures. The number has 32 bits.
    return Ok(LOCKED.contains(&(rustix::fs::fstatfs(directory)?.f_type as u32)));
    #[cfg(not(target_os = "linux"))]
    return Ok(false);
}
