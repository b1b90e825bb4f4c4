//! Compiled code on disk, so that a second start compiles nothing.
//!
//! A compiled component is native code that the host maps and runs: whoever can write the cache runs code as the
//! host. So the directory must belong to the user the host runs as and be writable by nobody else, and so must
//! each entry. The name of an entry has the hash of what it was made of and the hash of its content
//! (see [`entry`]), and the content is hashed again before it is used: an entry is whole and right, or it is compiled
//! again.
//!
//! - [`key`]: what code is looked up by
//! - [`entry`]: code that was found
//! - [`turn`]: who may compile now
//! - `room`: what is removed to make room, and when a failure is forgotten
//!
//! In a pod the entry is opened on the node and mapped by the container's own process (see [`crate::code`]).

pub mod entry;
pub mod key;
mod room;
pub mod turn;

#[cfg(test)]
mod tests;

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

/// Bytes of compiled code that are kept. Code is some four times its component: this is hundreds of components.
const MAX_BYTES: u64 = 1 << 30;

/// Bytes of compiled code of one component, at most: a quarter of the whole.
pub const MAX_ENTRY: u64 = 256 << 20;

/// An open directory of compiled code.
#[derive(Debug)]
pub struct Cache {
    directory: OwnedFd,
    path: PathBuf,
}

impl Cache {
    /// Opens the directory at `path` and makes it if it is missing. It is an error if others could write it. If it
    /// cannot be made or opened there is a warning and no cache: the host then compiles at every start.
    pub fn open(path: &Path) -> Result<Option<Self>> {
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
                tracing::warn!(%path, %error, "no cache for compiled code: every start compiles");
                return Ok(None);
            }
        };
        let status = rustix::fs::fstat(&directory)
            .with_context(|| format!("{}: look at the cache directory", path.display()))?;
        ensure!(
            only_ours(status.st_uid, status.st_mode),
            "{}: the cache directory must belong to the user {} and be writable by nobody else, \
             because the host runs the code in it: fix its owner and mode, or give another --cache-dir",
            path.display(),
            rustix::process::geteuid().as_raw()
        );
        Ok(Some(Self {
            directory,
            path: path.to_owned(),
        }))
    }

    /// Returns the code with this key if it is here, whole, and written by this user.
    pub fn find(&self, key: &Key) -> Option<Entry> {
        for name in self.names(|name| name.starts_with(key.name()) && entry::is_name(name)) {
            match self.open_entry(key, &name) {
                Ok(entry) => return Some(entry),
                Err(error) => {
                    let entry = self.path.join(name);
                    tracing::warn!(entry = %entry.display(), error = %format!("{error:#}"), "recompiling: the cached code is unusable");
                }
            }
        }
        None
    }

    /// Keeps `code`, which [`crate::code::compile`] made of what `key` was computed from: the caller vouches for that,
    /// as it does for everybody who can write the directory. `owner` is whose share of the cache it is charged to.
    pub fn keep(&self, key: &Key, owner: &str, mut code: impl Read) -> Result<()> {
        let temporary = self.temporary();
        let written = self.write(&temporary, &mut code);
        let kept = written.and_then(|digest| {
            let name = entry::name(key, &digest, owner);
            let directory = self.directory.as_fd();
            rustix::fs::renameat(directory, &temporary, directory, &name)
                .context("rename the new entry")?;
            Ok(name)
        });
        let name = match kept {
            Ok(name) => name,
            Err(error) => {
                self.remove(&temporary);
                return Err(error).with_context(|| self.path.display().to_string());
            }
        };
        // Damaged ones, or such as nobody could use: the compiler does not always make the same of the same.
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
        let mut file = File::from(file.context("open it")?);
        let metadata = file.metadata().context("look at it")?;
        ensure!(
            metadata.is_file() && only_ours(metadata.uid(), metadata.mode()),
            "others could have written it"
        );
        let digest = key::digest(&mut file).context("read it")?;
        ensure!(
            entry::is_of(name, key, &digest),
            "it is not what was written"
        );
        // Used now: see `make_room`. One that is not marked is removed sooner.
        let _ = file.set_times(FileTimes::new().set_accessed(SystemTime::now()));
        Ok(Entry::new(key, file))
    }

    fn remove(&self, name: &str) {
        // What another process has removed is gone all the same; what cannot be removed is not worth an error.
        let _ = rustix::fs::unlinkat(&self.directory, name, AtFlags::empty());
    }

    /// Returns a name for an entry that is not whole yet: a reader never sees half an entry, not even after a power
    /// cut, and two hosts that compile at once do not write into each other's file.
    fn temporary(&self) -> String {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        format!("{}{}.{count}", room::UNFINISHED, std::process::id())
    }

    /// Writes a file and returns the digest of its content.
    fn write(&self, name: &str, code: &mut impl Read) -> Result<[u8; 32]> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // For everybody who is given a descriptor of it: others do not get into the directory.
        let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::ROTH;
        let file =
            rustix::fs::openat(&self.directory, name, flags, mode).context("create an entry")?;
        let mut file = File::from(file);
        let mut hasher = Sha256::new();
        let mut piece = [0; 32 << 10];
        let mut size = 0;
        loop {
            let read = code.read(&mut piece).context("read the code")?;
            if read == 0 {
                break;
            }
            size += read as u64;
            ensure!(
                size <= MAX_ENTRY,
                "the code has more than {MAX_ENTRY} bytes"
            );
            hasher.update(&piece[..read]);
            file.write_all(&piece[..read]).context("write an entry")?;
        }
        file.sync_all().context("sync an entry")?;
        Ok(hasher.finalize().into())
    }
}

fn only_ours(owner: u32, mode: u32) -> bool {
    owner == rustix::process::geteuid().as_raw() && mode & 0o022 == 0
}
