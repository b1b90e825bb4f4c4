//! Compiled code from the cache, as an open file. Its name is `KEY-CODE-OWNER.cwasm`: the key, the digest of the code,
//! and a hash of the owner whose share it counts against.

use super::key::{self, Key};
use crate::engine::Engine;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::os::fd::{AsRawFd, RawFd};
use std::path::PathBuf;
use wasmtime::Module;
use wasmtime::component::Component;

/// The end of an entry's name.
const ENTRY: &str = ".cwasm";

/// Compiled code in a file that only the cache's user has written and that is never changed in place.
#[derive(Debug)]
pub struct Entry {
    wasm: [u8; 32],
    file: File,
}

impl Entry {
    pub(super) fn new(key: &Key, file: File) -> Self {
        Self {
            wasm: key.wasm(),
            file,
        }
    }

    /// Returns the same entry with another descriptor of its file, for example one that cannot be reopened for
    /// writing.
    ///
    /// # Errors
    /// If `reopen` fails.
    pub fn by<E>(self, reopen: impl FnOnce(&File) -> Result<File, E>) -> Result<Self, E> {
        let file = reopen(&self.file)?;
        Ok(Self { file, ..self })
    }

    /// Returns the number of the file's descriptor.
    pub fn descriptor(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// Returns whether the code was compiled from the bytes that have this key.
    pub(crate) fn was_made_of(&self, key: &Key) -> bool {
        self.wasm == key.wasm()
    }

    /// Maps the code of a component.
    pub(crate) fn component(&self, engine: &Engine) -> wasmtime::Result<Component> {
        // SAFETY: the bytes must come from `Component::serialize` of a compatible engine. Only the cache's user can
        // have written the file or put it into the directory: both were checked after they were opened. This user's
        // programs write only complete results of the compiler there, under a name that identifies the engine. wasmtime
        // also checks its header and version. Entries are never changed in place, so the mapping stays valid.
        unsafe { Component::deserialize_file(engine.wasmtime(), self.path()) }
    }

    /// Maps the code of a core module.
    pub(crate) fn module(&self, engine: &Engine) -> wasmtime::Result<Module> {
        // SAFETY: as in `component`. wasmtime's header distinguishes a module from a component.
        unsafe { Module::deserialize_file(engine.wasmtime(), self.path()) }
    }

    /// Returns a path of the open file, so that wasmtime maps the inode that was checked.
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.descriptor()))
    }
}

/// Returns the name of an entry.
pub(super) fn name(key: &Key, code: &[u8; 32], owner: &str) -> String {
    let owner: [u8; 32] = Sha256::digest(owner).into();
    format!(
        "{}-{}-{}{ENTRY}",
        key.name(),
        key::hex(code),
        key::hex(&owner[..8])
    )
}

/// Returns whether a file has the name of an entry.
pub(super) fn is_name(name: &str) -> bool {
    !name.starts_with('.') && name.ends_with(ENTRY)
}

/// Returns whether `name` is the name of an entry with this key and code.
pub(super) fn is_of(name: &str, key: &Key, code: &[u8; 32]) -> bool {
    let start = format!("{}-{}-", key.name(), key::hex(code));
    name.starts_with(&start)
}

/// Returns the part of an entry's name that identifies its owner.
pub(super) fn owner(name: &str) -> &str {
    let name = name.strip_suffix(ENTRY).unwrap_or(name);
    name.rsplit('-').next().unwrap_or_default()
}
