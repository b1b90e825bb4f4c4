//! Compiled code on disk, so that a second start compiles nothing.
//!
//! A compiled component is native code that the host maps and runs: whoever can write the cache runs code as the
//! host. So the directory must belong to the user the host runs as and be writable by nobody else, and so must
//! each entry. An entry is written beside its place, synced and renamed. Its name has two hashes, `KEY-CODE.cwasm`: that
//! of the component and of everything in the engine that shapes the code, and that of the code itself, which is looked
//! at before it is used. So an entry is whole and right, or it is compiled again. Those that were not used for the longest
//! time make room for new ones.
//!
//! In a pod the code is mapped on the node, before the container is entered (see [`crate::code`]): no descriptor of the
//! cache is left inside.

#[cfg(test)]
mod tests;

use anyhow::{Context, Result, ensure};
use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags};
use sha2::{Digest, Sha256};
use std::fs::{File, FileTimes};
use std::hash::{Hash, Hasher};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;
use wasmtime::component::Component;
use wasmtime::{Engine, Module};

/// How the name of an entry ends.
const ENTRY: &str = ".cwasm";

/// Bytes of compiled code that are kept. Code is some four times its component: this is hundreds of components.
const MOST: u64 = 1 << 30;

/// An open directory of compiled code.
#[derive(Debug)]
pub struct Cache {
    directory: OwnedFd,
    path: PathBuf,
}

/// A cache that is locked until this is dropped. Made by [`Cache::lock`].
#[derive(Debug)]
pub struct Lock {
    _held: OwnedFd,
}

impl Cache {
    /// Opens the directory at `path`, made if it is missing. It is an error when others could write it. When it
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
             for the host runs the code in it: fix its owner and mode, or give another --cache-dir",
            path.display(),
            rustix::process::geteuid().as_raw()
        );
        Ok(Some(Self {
            directory,
            path: path.to_owned(),
        }))
    }

    /// Returns the compiled code of the component with these bytes if it is here and usable.
    pub fn load(&self, engine: &Engine, wasm: &[u8]) -> Option<Component> {
        self.load_with(engine, wasm, map)
    }

    /// Returns the compiled code of the core module with these bytes if it is here and usable.
    pub fn load_module(&self, engine: &Engine, wasm: &[u8]) -> Option<Module> {
        self.load_with(engine, wasm, map_module)
    }

    fn load_with<T>(
        &self,
        engine: &Engine,
        wasm: &[u8],
        map: fn(&Engine, &File) -> wasmtime::Result<T>,
    ) -> Option<T> {
        let key = key(engine, wasm);
        for name in self.names(&key) {
            match self.load_entry(engine, &key, &name, map) {
                Ok(code) => return Some(code),
                Err(error) => {
                    let entry = self.path.join(name);
                    tracing::warn!(entry = %entry.display(), error = %format!("{error:#}"), "recompiling: the cached code is unusable");
                }
            }
        }
        None
    }

    /// The entries of a key: one, unless one was damaged and made again. Of no key, all.
    fn names(&self, key: &str) -> Vec<String> {
        let Ok(entries) = rustix::fs::Dir::read_from(&self.directory) else {
            return Vec::new();
        };
        let names =
            entries.filter_map(|entry| entry.ok()?.file_name().to_str().ok().map(str::to_owned));
        names
            .filter(|name| name.starts_with(key) && name.ends_with(ENTRY))
            .collect()
    }

    fn load_entry<T>(
        &self,
        engine: &Engine,
        key: &str,
        name: &str,
        map: fn(&Engine, &File) -> wasmtime::Result<T>,
    ) -> Result<T> {
        let mut file = self.open_entry(name)?;
        let digest = digest(&mut file).context("read it")?;
        ensure!(
            name == entry_name(key, &digest),
            "it is not what was written"
        );
        // Used now: see `make_room`. One that is not marked is removed sooner.
        let _ = file.set_times(FileTimes::new().set_accessed(SystemTime::now()));
        map(engine, &file).map_err(|error| anyhow::anyhow!("{error:#}"))
    }

    /// Keeps compiled code for the next start. A failure is a warning: this start has its code.
    pub(crate) fn store(&self, engine: &Engine, wasm: &[u8], component: &Component) {
        let stored = component
            .serialize()
            .map_err(|error| anyhow::anyhow!("{error:#}"))
            .and_then(|code| self.keep(engine, wasm, &code));
        if let Err(error) = stored {
            let path = self.path.display();
            tracing::warn!(%path, error = %format!("{error:#}"), "compiled code is not cached: the next start compiles");
        }
    }

    /// Keeps `code`, which [`crate::code::compile`] made of `wasm` with an engine like this one: the caller vouches
    /// for that, as it does for everybody who can write the directory.
    pub fn keep(&self, engine: &Engine, wasm: &[u8], code: &[u8]) -> Result<()> {
        let key = key(engine, wasm);
        let name = entry_name(&key, &Sha256::digest(code));
        self.write(&name, code)?;
        // Damaged ones, or such as nobody could use: the compiler does not always make the same of the same.
        for other in self.names(&key).iter().filter(|other| **other != name) {
            self.remove(other);
        }
        self.make_room(&name, MOST);
        Ok(())
    }

    /// Waits until no other process has this cache locked, and locks it until the guard is dropped: so that of many
    /// that start at once one compiles and the others find the code. Neither [`load`](Self::load) nor
    /// [`keep`](Self::keep) needs it.
    pub fn lock(&self) -> Result<Lock> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        // Opened anew, for a lock belongs to the open file: that of the directory is shared with what was forked.
        let locked = rustix::fs::openat(&self.directory, ".", flags, Mode::empty())
            .and_then(|own| {
                rustix::fs::flock(&own, FlockOperation::LockExclusive)?;
                Ok(own)
            })
            .with_context(|| format!("{}: lock the cache", self.path.display()))?;
        Ok(Lock { _held: locked })
    }

    fn remove(&self, name: &str) {
        // What another process has removed is gone all the same; what cannot be removed is not worth an error.
        let _ = rustix::fs::unlinkat(&self.directory, name, AtFlags::empty());
    }

    /// Removes entries until `most` bytes are left, the longest unused first, and never `keep`.
    fn make_room(&self, keep: &str, most: u64) {
        let mut entries: Vec<(i64, u64, String)> = self
            .names("")
            .into_iter()
            .filter_map(|name| {
                let flags = AtFlags::SYMLINK_NOFOLLOW;
                let status = rustix::fs::statat(&self.directory, name.as_str(), flags).ok()?;
                Some((status.st_atime, u64::try_from(status.st_size).ok()?, name))
            })
            .collect();
        entries.sort();
        let mut all: u64 = entries.iter().map(|(_, size, _)| size).sum();
        for (_, size, name) in entries.iter().filter(|(_, _, name)| name != keep) {
            if all <= most {
                break;
            }
            self.remove(name);
            all -= size;
        }
    }

    fn open_entry(&self, name: &str) -> Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.directory, name, flags, Mode::empty());
        let file = File::from(file.context("open it")?);
        let metadata = file.metadata().context("look at it")?;
        ensure!(
            metadata.is_file() && only_ours(metadata.uid(), metadata.mode()),
            "others could have written it"
        );
        Ok(file)
    }

    /// Under a name of its own until it is whole and on disk: a reader never sees half an entry, not even after a
    /// power cut, and two hosts that compile at once do not write into each other's file.
    fn write(&self, name: &str, code: &[u8]) -> Result<()> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let temporary = format!(".{name}.{}.{count}", std::process::id());
        let written = self.write_new(&temporary, code).and_then(|()| {
            let directory = self.directory.as_fd();
            rustix::fs::renameat(directory, &temporary, directory, name)
                .context("rename the new entry")
        });
        if written.is_err() {
            let _ = rustix::fs::unlinkat(&self.directory, &temporary, AtFlags::empty());
        }
        written
    }

    fn write_new(&self, name: &str, code: &[u8]) -> Result<()> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let file =
            rustix::fs::openat(&self.directory, name, flags, mode).context("create an entry")?;
        let mut file = File::from(file);
        file.write_all(code).context("write an entry")?;
        file.sync_all().context("sync an entry")
    }
}

fn only_ours(owner: u32, mode: u32) -> bool {
    owner == rustix::process::geteuid().as_raw() && mode & 0o022 == 0
}

/// Returns a path of an open file: the very inode whose owner was checked.
fn path_of(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

fn map(engine: &Engine, file: &File) -> wasmtime::Result<Component> {
    // SAFETY: the bytes must come from `Component::serialize` of a compatible engine. Only this user can have
    // written the file or put it into the directory (`only_ours`, both looked at after opening), and this user's
    // hosts write nothing there but whole results of `serialize` under a name that says for which engine; wasmtime
    // checks its header and version itself. Nothing changes an entry in place, so the mapping stays as it is.
    unsafe { Component::deserialize_file(engine, path_of(file)) }
}

fn map_module(engine: &Engine, file: &File) -> wasmtime::Result<Module> {
    // SAFETY: as in `map`; wasmtime's header tells a module from a component.
    unsafe { Module::deserialize_file(engine, path_of(file)) }
}

/// The hash of the component and of what shapes its code.
fn key(engine: &Engine, wasm: &[u8]) -> String {
    let mut hasher = Sha256Hasher(Sha256::new_with_prefix(wasm));
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hex(&hasher.0.finalize())
}

fn entry_name(key: &str, digest: &[u8]) -> String {
    format!("{key}-{}{ENTRY}", hex(digest))
}

/// The hash of a file, read in pieces: the shim does this in the process that becomes the container's.
fn digest(file: &mut File) -> std::io::Result<[u8; 32]> {
    let mut hasher = Sha256::new();
    let mut piece = [0; 32 << 10];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hasher.finalize().into()),
            read => hasher.update(&piece[..read]),
        }
    }
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Feeds what is hashed to SHA-256, whose result is not the 64 bits of `finish`.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        unreachable!("the digest is taken, not 64 bits of it")
    }
}
