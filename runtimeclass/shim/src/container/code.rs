//! Machine code from the node's cache, and into it: found, or compiled once and kept.
//!
//! Nothing here maps code: wasmtime trusts what it maps, and this runs as root on the node. The entry that is returned
//! is mapped by the container's own process (see `super::executor`). Its file is on a read-only mount of its own, so the
//! container's descriptor cannot be opened again for writing.

use super::compile::{self, Account};
use crate::request::Place;
use crate::{helper, read_only};
use anyhow::{Context, Result, bail, ensure};
use libcontainer::oci_spec::runtime::Spec;
use preopen_host::cache::{Cache, Entry, Key};
use preopen_host::engine::engine;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;
use std::time::{Duration, Instant};

/// Bytes of a component or module that the shim has compiled, at most.
pub(super) const MAX_WASM: u64 = 64 << 20;

/// How long a process waits for others that compile. With the time for compiling it is below the deadline of the call.
const TURN: Duration = Duration::from_secs(40);

/// Where code is kept, and for whom.
pub(super) struct Store<'a> {
    /// The node's directory of compiled code.
    pub(super) cache: &'a Path,
    /// Whose share of the cache and of the compilers it counts against.
    pub(super) owner: &'a str,
}

/// The annotation with the Kubernetes namespace of a pod.
const NAMESPACE: &str = "io.kubernetes.cri.sandbox-namespace";

/// Returns the name of who has the container made: its Kubernetes namespace, else that of containerd.
pub(super) fn owner(spec: &Spec, place: &Place) -> String {
    let annotations = spec.annotations().as_ref();
    let namespace = annotations.and_then(|annotations| annotations.get(NAMESPACE));
    let containerd = place.state.file_name().unwrap_or_default();
    match namespace {
        Some(namespace) => format!("kubernetes {namespace}"),
        None => format!("containerd {}", containerd.display()),
    }
}

impl Store<'_> {
    /// Returns the code of the wasm in `file`, compiled on `account` if it is not there yet.
    pub(super) fn code(&self, mut file: File, account: &Account<'_>) -> Result<Entry> {
        let cache = self.open()?;
        let engine = engine()?;
        let size = file.metadata()?.len();
        ensure!(size <= MAX_WASM, "it has more than {MAX_WASM} bytes");
        let key = Key::read(&engine, (&mut file).take(MAX_WASM))?;
        if let Some(entry) = cache.find(&key) {
            return shielded(entry);
        }
        if let Some(reason) = cache.failure(&key) {
            bail!("a few minutes ago: {reason}");
        }
        let _turn = cache.turn(&key, self.owner, Instant::now() + TURN)?;
        if let Some(entry) = cache.find(&key) {
            return shielded(entry);
        }
        let wasm = copy(file)?;
        // What is compiled is what was hashed: others may write to a file that is not an image's.
        ensure!(
            Key::read(&engine, &wasm)?.is(&key),
            "it changed while it was read"
        );
        (&wasm).rewind()?;
        let code = compile::apart(&wasm, account).inspect_err(|error| {
            if let Err(error) = cache.remember_failure(&key, &format!("{error:#}")) {
                eprintln!("{error:#}");
            }
        })?;
        self.keep(&cache, &key, code)
    }

    /// Returns the code that is known by `name`, made by `code` if it is not there yet.
    pub(super) fn unpacked(
        &self,
        name: &[u8],
        code: impl FnOnce() -> Result<Box<dyn Read>>,
    ) -> Result<Entry> {
        let cache = self.open()?;
        let key = Key::of(&engine()?, name);
        match cache.find(&key) {
            Some(entry) => shielded(entry),
            None => self.keep(&cache, &key, code()?),
        }
    }

    fn open(&self) -> Result<Cache> {
        Cache::open(self.cache)?.context("there is no cache for compiled code")
    }

    fn keep(&self, cache: &Cache, key: &Key, code: impl Read) -> Result<Entry> {
        cache.keep(key, self.owner, code)?;
        let entry = cache.find(key);
        shielded(entry.context("the code just kept is not usable")?)
    }
}

fn copy(mut file: File) -> Result<File> {
    file.rewind()?;
    let mut wasm = helper::memory("wasm")?;
    std::io::copy(&mut file.take(MAX_WASM), &mut wasm)?;
    wasm.rewind()?;
    Ok(wasm)
}

/// Puts the entry's file on a read-only mount.
fn shielded(entry: Entry) -> Result<Entry> {
    entry.by(read_only::reopen)
}
