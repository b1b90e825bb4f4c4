//! Machine code from the node's cache: found, or compiled once and kept.
//!
//! This file maps no code, because wasmtime trusts the code that it maps, and the helper runs as root on the node. The
//! container's own process maps the returned entry (see `container::executor`). The entry's file is on a read-only mount of its
//! own, so the container cannot reopen its descriptor for writing.

use super::compile::{self, Account};
use crate::{helper, read_only};
use anyhow::{Context, Result, bail, ensure};
use preopen_host::cache::{Cache, Entry, Key};
use preopen_host::engine::Engine;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;
use std::time::{Duration, Instant};

/// The maximum number of bytes of a component or module that the shim compiles.
const MAX_WASM: u64 = 64 << 20;

/// The time that a process waits for other compilers. Together with the compiler's own limit it is below the deadline of
/// the call.
const TURN_TIMEOUT: Duration = Duration::from_secs(40);

/// The cache, and the owner of what is kept in it.
pub(crate) struct Store<'a> {
    /// The node's directory of compiled code.
    pub(crate) cache: &'a Path,
    /// The owner of the share of cache and compilers that is used.
    pub(crate) owner: &'a str,
}

impl Store<'_> {
    /// Returns the code of the wasm in `file`. Compiles it on `account` if the cache has none.
    pub(crate) fn compiled(&self, mut file: File, account: &Account<'_>) -> Result<Entry> {
        let cache = self.open()?;
        let engine = Engine::new()?;
        let size = file.metadata()?.len();
        ensure!(
            size <= MAX_WASM,
            "the file has {size} bytes, the maximum is {MAX_WASM}"
        );
        let key = Key::read(&engine, (&mut file).take(MAX_WASM))?;
        if let Some(entry) = cache.find(&key) {
            return read_only_entry(entry);
        }
        if let Some(reason) = cache.failure(&key) {
            bail!("a few minutes ago: {reason}");
        }
        // Another process may compile the same code before this one gets its turn.
        let _turn = cache.turn(&key, self.owner, Instant::now() + TURN_TIMEOUT)?;
        self.find_or_keep(&cache, &key, || {
            let wasm = copy(file)?;
            // The copy is compiled, so its hash must be the key: others may write to a file that is not an image's.
            ensure!(
                Key::read(&engine, &wasm)?.is(&key),
                "the file changed while it was read"
            );
            (&wasm).rewind()?;
            compile::apart(&wasm, account).inspect_err(|error| {
                if let Err(error) = cache.remember_failure(&key, &format!("{error:#}")) {
                    eprintln!("failure not remembered error=\"{error:#}\"");
                }
            })
        })
    }

    /// Returns the code with this name. Unpacks it by `code` if the cache has none. Takes no turn, so that it does not wait
    /// for compilers: if two processes unpack the same code, the cache keeps one.
    pub(crate) fn unpacked<C: Read>(
        &self,
        name: &[u8],
        code: impl FnOnce() -> Result<C>,
    ) -> Result<Entry> {
        let cache = self.open()?;
        self.find_or_keep(&cache, &Key::of(&Engine::new()?, name), code)
    }

    fn open(&self) -> Result<Cache> {
        let cache = Cache::open(self.cache)?;
        cache.with_context(|| format!("cannot open the cache {}", self.cache.display()))
    }

    fn find_or_keep<C: Read>(
        &self,
        cache: &Cache,
        key: &Key,
        code: impl FnOnce() -> Result<C>,
    ) -> Result<Entry> {
        if let Some(entry) = cache.find(key) {
            return read_only_entry(entry);
        }
        cache.keep(key, self.owner, code()?)?;
        let entry = cache.find(key);
        read_only_entry(entry.context("the cache does not have the code just kept")?)
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
fn read_only_entry(entry: Entry) -> Result<Entry> {
    entry.by(read_only::reopen)
}
