//! Where the machine code of a component comes from: a cache, this process's compiler, or a process that had both.
//!
//! The last is the shim's way. It maps the code on the node, as root, and enters the container afterwards: the pod
//! shares the pages with every other pod of the image and holds no descriptor through which it could change them.

use crate::cache::Cache;
use anyhow::{Result, anyhow};
use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

/// The first eight bytes of every component: magic, version 13, layer 1.
pub const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// The first eight bytes of every core module: magic, version 1, layer 0.
pub const CORE_MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// Where [`crate::App::load`] takes machine code from.
#[derive(Clone, Copy, Debug)]
pub enum Code<'a> {
    /// From this cache, which also keeps what has to be compiled.
    Cached(&'a Cache),
    /// What was mapped before, if it is of the very component that the manifest names.
    Mapped(&'a Mapped),
    /// Compiled at every start.
    Compiled,
}

/// A component's mapped code, with the digest of the wasm it was made of.
pub struct Mapped {
    digest: [u8; 32],
    component: Component,
}

impl std::fmt::Debug for Mapped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mapped").finish_non_exhaustive()
    }
}

impl Mapped {
    /// The code of the component with these bytes, when `cache` has it.
    pub fn from_cache(cache: &Cache, engine: &Engine, wasm: &[u8]) -> Option<Self> {
        let component = cache.load(engine, wasm)?;
        Some(Self {
            digest: Sha256::digest(wasm).into(),
            component,
        })
    }

    /// The engine that it was mapped with, the only one that can run it.
    pub fn engine(&self) -> &Engine {
        self.component.engine()
    }
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
    /// The component of `wasm`, and whether it was there already.
    pub(crate) fn component(&self, engine: &Engine, wasm: &[u8]) -> Result<(Component, bool)> {
        match self {
            Self::Cached(cache) => cached(cache, engine, wasm),
            Self::Mapped(mapped) if mapped.digest == <[u8; 32]>::from(Sha256::digest(wasm)) => {
                Ok((mapped.component.clone(), true))
            }
            Self::Mapped(_) | Self::Compiled => Ok((compiled(engine, wasm)?, false)),
        }
    }
}

fn cached(cache: &Cache, engine: &Engine, wasm: &[u8]) -> Result<(Component, bool)> {
    if let Some(component) = cache.load(engine, wasm) {
        return Ok((component, true));
    }
    // Of many hosts that start at once the first compiles; the others wait here and find its code.
    let _lock = match cache.lock() {
        Ok(lock) => Some(lock),
        Err(error) => {
            tracing::warn!(error = %format!("{error:#}"), "others may compile the same now");
            None
        }
    };
    if let Some(component) = cache.load(engine, wasm) {
        return Ok((component, true));
    }
    let component = compiled(engine, wasm)?;
    cache.store(engine, wasm, &component);
    Ok((component, false))
}

fn compiled(engine: &Engine, wasm: &[u8]) -> Result<Component> {
    Component::new(engine, wasm).map_err(|error| anyhow!("not a valid component: {error:#}"))
}
