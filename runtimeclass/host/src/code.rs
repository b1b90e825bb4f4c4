//! Where the machine code of a component comes from: a cache, this process's compiler, or entries of a cache that
//! another process has opened.
//!
//! The shim uses entries. It opens them on the node, as root, and passes them to the container's process, which maps
//! them after it has given up its rights. wasmtime trusts the bytes that it maps, so root maps none.

use crate::cache::{Cache, Entry, Key};
use crate::engine::Engine;
use crate::source::Source;
use anyhow::{Result, anyhow};
use std::time::{Duration, Instant};
use wasmtime::component::Component;

/// How long a host waits for another that compiles the same component. After that both compile.
const MAX_WAIT: Duration = Duration::from_secs(120);

/// The only owner in a user's own cache.
const OWNER: &str = "";

/// Where a host takes machine code from.
#[derive(Debug)]
pub(crate) enum Code {
    /// From this cache, which also keeps what has to be compiled.
    Cached(Cache),
    /// From the entry that was made of the component's bytes. A component without an entry is compiled.
    Entries(Vec<Entry>),
    /// Compiled at every start.
    Compiled,
}

impl Code {
    /// Returns the component, and whether it was compiled before.
    pub(crate) fn component(&self, engine: &Engine, source: &Source) -> Result<(Component, bool)> {
        match self {
            Self::Cached(cache) => cached(cache, engine, source),
            Self::Entries(entries) => {
                let key = source.read(|file| Key::read(engine, file))?;
                let found = entries.iter().find(|entry| entry.was_made_of(&key));
                match found.map(|entry| entry.component(engine)) {
                    Some(Ok(component)) => return Ok((component, true)),
                    Some(Err(error)) => {
                        tracing::warn!(error = %format!("{error:#}"), "compiling: the node's code cannot be mapped");
                    }
                    None => {}
                }
                Ok((compiled(engine, &source.bytes()?)?, false))
            }
            Self::Compiled => Ok((compiled(engine, &source.bytes()?)?, false)),
        }
    }
}

fn cached(cache: &Cache, engine: &Engine, source: &Source) -> Result<(Component, bool)> {
    let find = |key| map(engine, &cache.find(key)?);
    let key = source.read(|file| Key::read(engine, file))?;
    if let Some(component) = find(&key) {
        return Ok((component, true));
    }
    // The code is kept under the key of these bytes, because the file may have changed since.
    let wasm = source.bytes()?;
    let key = Key::of(engine, &wasm);
    let turn = cache.turn(&key, OWNER, Instant::now() + MAX_WAIT);
    if let Err(error) = &turn {
        tracing::warn!(error = %format!("{error:#}"), "others may compile the same now");
    }
    if let Some(component) = find(&key) {
        return Ok((component, true));
    }
    let component = compiled(engine, &wasm)?;
    let code = component
        .serialize()
        .map_err(|error| anyhow!("{error:#}"))
        .and_then(|code| Ok(cache.keep(&key, OWNER, code.as_slice())?));
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
    Component::new(engine.wasmtime(), wasm)
        .map_err(|error| anyhow!("not a valid component: {error:#}"))
}
