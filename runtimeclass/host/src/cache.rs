//! Compiled code on disk, so that only the first start compiles a component.
//!
//! A compiled component is native code that the host maps and runs, so whoever can write the cache can run code as the
//! host. The directory and each entry must therefore belong to the host's user, and only that user may write them. An
//! entry's name contains the hash of the component and the hash of the code (see [`entry`]). The code is hashed again
//! before it is used, so that a damaged entry is compiled again.
//!
//! - [`key`]: the key of compiled code
//! - [`entry`]: code that was found
//! - [`turn`]: locks that limit concurrent compilations
//! - `room`: removes entries to make room, and remembers failures for a while
//!
//! In a pod, the entry is opened on the node and mapped by the container's own process (see `crate::code`).

pub mod entry;
pub mod key;
mod room;
pub mod turn;

#[cfg(test)]
mod tests;

use crate::error::{Error, OrError};
use anyhow::{Context, Result, ensure};
pub use entry::Entry;
pub use key::Key;
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use sha2::{Digest, Sha256};
use std::fs::{File, FileTimes};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// Bytes of compiled code that are kept. Code is about four times as large as its component, so this is enough for
/// hundreds of components.
const MAX_BYTES: u64 = 1 << 30;

/// Maximum bytes of compiled code of one component: a quarter of the cache.
pub const MAX_ENTRY: u64 = 256 << 20;

/// An open directory of compiled code.
#[derive(Debug)]
pub struct Cache {
    directory: OwnedFd,
    path: PathBuf,
}

impl Cache {
    /// Opens the directory at `path`, and creates it if it is missing. Fails if others can write it. If the directory
    /// cannot be created or opened, logs a warning and returns `None`: the host then compiles at every start.
    ///
    /// # Errors
    /// If others can write the directory.
    pub fn open(path: &Path) -> Result<Option<Self>, Error> {
        Self::open_own(path).or_error(Error::Cache)
    }

    fn open_own(path: &Path) -> Result<Option<Self>> {
        let made = std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = made.and_then(|()| Ok(rustix::fs::openat(CWD, path, flags, Mode::empty())?));
        let directory = match opened {
            Ok(directory) => directory,
            Err(error) => {
                let path = path.display();
                tracing::warn!(
                    %path,
                    %error,
                    "the cache for compiled code is unavailable, so every start compiles (--cache-dir)"
                );
                return Ok(None);
            }
        };
        let status = rustix::fs::fstat(&directory).with_context(|| {
            format!(
                "{}: cannot read the cache directory's owner and mode",
                path.display()
            )
        })?;
        ensure!(
            only_ours(status.st_uid, status.st_mode),
            "{}: the cache directory must belong to the user {} and be writable by that user alone, because the host \
             runs the code in it: fix its owner and mode, or give another --cache-dir",
            path.display(),
            rustix::process::geteuid().as_raw()
        );
        Ok(Some(Self {
            directory,
            path: path.to_owned(),
        }))
    }

    /// Returns the code with this key if it is intact and was written by this user.
    pub fn find(&self, key: &Key) -> Option<Entry> {
        for name in self.names(|name| name.starts_with(key.name()) && entry::is_name(name)) {
            match self.open_entry(key, &name) {
                Ok(entry) => return Some(entry),
                Err(error) => {
                    let entry = self.path.join(name);
                    tracing::warn!(
                        entry = %entry.display(),
                        error = %format!("{error:#}"),
                        "the cached code is unusable, so it is compiled again"
                    );
                }
            }
        }
        None
    }

    /// Keeps `code` under `key` and counts it against the share of `owner`. The caller must have computed `key` from
    /// the input of [`Engine::compile`](crate::engine::Engine::compile) that returned `code`. The same trust applies to everybody who can write
    /// the directory.
    ///
    /// # Errors
    /// If the code cannot be read or written, or has more than [`MAX_ENTRY`] bytes.
    pub fn keep(&self, key: &Key, owner: &str, code: impl Read) -> Result<(), Error> {
        self.keep_whole(key, owner, code).or_error(Error::Cache)
    }

    fn keep_whole(&self, key: &Key, owner: &str, mut code: impl Read) -> Result<()> {
        let temporary = self.temporary();
        let written = self.write(&temporary, &mut code);
        let kept = written.and_then(|digest| {
            let name = entry::name(key, &digest, owner);
            let directory = self.directory.as_fd();
            rustix::fs::renameat(directory, &temporary, directory, &name)
                .context("cannot rename the new entry")?;
            Ok(name)
        });
        let name = match kept {
            Ok(name) => name,
            Err(error) => {
                self.remove(&temporary);
                return Err(error).with_context(|| self.path.display().to_string());
            }
        };
        // Earlier entries with this key are damaged or unused, because the compiler's output is not deterministic.
        let others = self.names(|other| other.starts_with(key.name()) && other != name);
        for other in others.iter().filter(|other| entry::is_name(other)) {
            self.remove(other);
        }
        self.make_room(&name, MAX_BYTES);
        Ok(())
    }

    /// Returns the names of the files in the directory that `wanted` accepts.
    fn names(&self, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let Ok(entries) = rustix::fs::Dir::read_from(&self.directory) else {
            return Vec::new();
        };
        let names =
            entries.filter_map(|entry| entry.ok()?.file_name().to_str().ok().map(str::to_owned));
        names.filter(|name| wanted(name)).collect()
    }

    fn open_entry(&self, key: &Key, name: &str) -> Result<Entry> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.directory, name, flags, Mode::empty());
        let mut file = File::from(file.context("cannot open it")?);
        let metadata = file.metadata().context("cannot read its owner and mode")?;
        ensure!(
            metadata.is_file() && only_ours(metadata.uid(), metadata.mode()),
            "others could have written it"
        );
        let digest = key::digest(&mut file).context("cannot read it")?;
        ensure!(
            entry::is_of(name, key, &digest),
            "its content does not match its name"
        );
        // `make_room` keeps entries that were used recently. If this fails, the entry is only removed sooner.
        let _ = file.set_times(FileTimes::new().set_accessed(SystemTime::now()));
        Ok(Entry::new(key, file))
    }

    fn remove(&self, name: &str) {
        // Another process may have removed it. Other errors only leave a file behind.
        let _ = rustix::fs::unlinkat(&self.directory, name, AtFlags::empty());
    }

    /// Returns a name for an unfinished entry. Readers therefore never see half an entry, not even after a power cut,
    /// and concurrent hosts write to different files.
    fn temporary(&self) -> String {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        format!("{}{}.{count}", room::UNFINISHED, std::process::id())
    }

    /// Writes a file, and returns the digest of its content.
    fn write(&self, name: &str, code: &mut impl Read) -> Result<[u8; 32]> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // Readable by every process that is given a descriptor. Only the owner can enter the directory.
        let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::ROTH;
        let file = rustix::fs::openat(&self.directory, name, flags, mode)
            .context("cannot create an entry")?;
        let mut file = File::from(file);
        let mut hasher = Sha256::new();
        let mut piece = [0; 32 << 10];
        let mut size = 0;
        loop {
            let read = code.read(&mut piece).context("cannot read the code")?;
            if read == 0 {
                break;
            }
            size += read as u64;
            ensure!(
                size <= MAX_ENTRY,
                "the compiled code has more than {MAX_ENTRY} bytes"
            );
            hasher.update(&piece[..read]);
            file.write_all(&piece[..read])
                .context("cannot write an entry")?;
        }
        file.sync_all().context("cannot sync an entry")?;
        Ok(hasher.finalize().into())
    }
}

fn only_ours(owner: u32, mode: u32) -> bool {
    owner == rustix::process::geteuid().as_raw() && mode & 0o022 == 0
}
