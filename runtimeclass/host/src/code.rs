//! Where the machine code of a component comes from: a cache, this process's compiler, or entries of a cache that
//! another process has opened.
//!
//! The last is the shim's way. It opens the entries on the node, as root, and hands them to the container's process, which
//! maps them after it has lost its rights: wasmtime trusts the bytes that it maps, so root maps none.

use crate::cache::{Cache, Entry, Key};
use anyhow::{Result, anyhow};
use std::time::{Duration, Instant};
use wasmtime::Engine;
use wasmtime::component::Component;

/// How long a host waits for another that compiles. After that both do.
const TURN: Duration = Duration::from_secs(120);

/// A cache of a user's own has one owner.
const OWNER: &str = "";

/// The first eight bytes of every component: magic, version 13, layer 1.
pub const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// The first eight bytes of every core module: magic, version 1, layer 0.
pub const CORE_MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// Where [`crate::App::load`] takes machine code from.
#[derive(Clone, Copy, Debug)]
pub enum Code<'a> {
    /// From this cache, which also keeps what has to be compiled.
    Cached(&'a Cache),
    /// From one of these entries, if it was made of the very component that the manifest names. A component without one is
    /// compiled.
    Entries(&'a [Entry]),
    /// Compiled at every start.
    Compiled,
}

/// Compiles `wasm`, a component or a core module, to machine code for [`Cache::keep`].
pub fn compile(engine: &Engine, wasm: &[u8]) -> Result<Vec<u8>> {
    if wasm.starts_with(CORE_MODULE) {
        return engine
            .precompile_module(wasm)
            .map_err(|error| anyhow!("not a valid module: {error:#}"));
    }
    engine
        .precompile_component(wasm)
        .map_err(|error| anyhow!("not a valid component: {error:#}"))
}

impl Code<'_> {
    /// Returns the component of `wasm`, and whether its code was there already.
    pub(crate) fn component(&self, engine: &Engine, wasm: &[u8]) -> Result<(Component, bool)> {
        match self {
            Self::Cached(cache) => cached(cache, engine, wasm),
            Self::Entries(entries) => {
                let found = entries.iter().find(|entry| entry.was_made_of(wasm));
                match found.map(|entry| entry.component(engine)) {
                    Some(Ok(component)) => return Ok((component, true)),
                    Some(Err(error)) => {
                        tracing::warn!(error = %format!("{error:#}"), "compiling: the node's code cannot be mapped");
                    }
                    None => {}
                }
                Ok((compiled(engine, wasm)?, false))
            }
            Self::Compiled => Ok((compiled(engine, wasm)?, false)),
        }
    }
}

fn cached(cache: &Cache, engine: &Engine, wasm: &[u8]) -> Result<(Component, bool)> {
    let key = Key::of(engine, wasm);
    let find = || map(engine, &cache.find(&key)?);
    if let Some(component) = find() {
        return Ok((component, true));
    }
    let turn = cache.turn(&key, OWNER, Instant::now() + TURN);
    if let Err(error) = &turn {
        tracing::warn!(error = %format!("{error:#}"), "others may compile the same now");
    }
    if let Some(component) = find() {
        return Ok((component, true));
    }
    let component = compiled(engine, wasm)?;
    let code = component
        .serialize()
        .map_err(|error| anyhow!("{error:#}"))
        .and_then(|code| cache.keep(&key, OWNER, code.as_slice()));
    if let Err(error) = code {
        tracing::warn!(error = %format!("{error:#}"), "compiled code is not cached: the next start compiles");
    }
    Ok((component, false))
}

fn map(engine: &Engine, entry: &Entry) -> Option<Component> {
    let mapped = entry.component(engine);
    if let Err(error) = &mapped {
        tracing::warn!(error = %format!("{error:#}"), "recompiling: the cached code cannot be mapped");
    }
    mapped.ok()
}

fn compiled(engine: &Engine, wasm: &[u8]) -> Result<Component> {
    Component::new(engine, wasm).map_err(|error| anyhow!("not a valid component: {error:#}"))
}
