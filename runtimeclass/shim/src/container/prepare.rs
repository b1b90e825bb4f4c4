//! A component's machine code, from the node's cache, mapped before the container is entered.
//!
//! The manifest and the component are read from the image here, on the node and as root, by paths that the image
//! made: each is resolved below the image's root, symbolic links included (`openat2`). What the pod mounts over the
//! image is not seen; a component from there is compiled inside, by the pod and within its limits, at every start. So
//! is one that could not be compiled here, and then the container's log says why. The host compares the digest of
//! what it finds inside with that of what was mapped here: a wrong guess costs time and nothing else.
//!
//! Code of an image is compiled once and mapped by all pods of it, so no pod may have a hand in making it: see
//! `super::compile`.

use super::executor::manifest_of;
use super::{compile, inside};
use anyhow::{Context, Result};
use libcontainer::oci_spec::runtime::Spec;
use preopen_host::cache::Cache;
use preopen_host::code::Mapped;
use preopen_host::engine::engine;
use preopen_host::manifest::Manifest;
use std::fs::File;
use std::path::{Path, PathBuf};

/// More is no manifest.
const LARGEST_MANIFEST: u64 = 1 << 20;
/// More is not compiled on the node's account.
pub(super) const LARGEST_COMPONENT: u64 = 64 << 20;

/// The code of the component that the container will serve, if it serves one. That there is none is said on standard
/// error, which is the shim's log, and is no failure.
pub(super) fn code(spec: &Spec, bundle: &Path, cache: &Path) -> Option<Mapped> {
    let manifest = manifest_of(spec)?;
    match map(spec, bundle, &manifest, cache) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("the component is compiled in its container: {error:#}");
            None
        }
    }
}

fn map(spec: &Spec, bundle: &Path, manifest: &Path, cache: &Path) -> Result<Option<Mapped>> {
    let root = spec
        .root()
        .as_ref()
        .context("the container has no root file system")?;
    let root = bundle.join(root.path());
    let root = File::open(&root).with_context(|| root.display().to_string())?;
    let text = inside::read(&root, manifest, LARGEST_MANIFEST)?;
    let text = String::from_utf8(text).context("the manifest is not UTF-8")?;
    let component = Manifest::parse(manifest, &text)?.component;
    let wasm = inside::read(&root, &component, LARGEST_COMPONENT)?;
    let engine = engine()?;
    let Some(cache) = Cache::open(cache)? else {
        return Ok(None);
    };
    if let Some(mapped) = Mapped::from_cache(&cache, &engine, &wasm) {
        return Ok(Some(mapped));
    }
    // Of many pods that start at once the first compiles; the others wait here and find its code.
    let _lock = cache.lock()?;
    if let Some(mapped) = Mapped::from_cache(&cache, &engine, &wasm) {
        return Ok(Some(mapped));
    }
    let code = compile::apart(&wasm, |_| Ok(()))?;
    cache.keep(&engine, &wasm, &code)?;
    let mapped =
        Mapped::from_cache(&cache, &engine, &wasm).context("the code just kept is not usable")?;
    Ok(Some(mapped))
}

/// A path of the container's, made absolute.
pub(super) fn absolute(spec: &Spec, path: &str) -> PathBuf {
    let directory = spec
        .process()
        .as_ref()
        .map(|process| process.cwd().as_path());
    directory.unwrap_or(Path::new("/")).join(path)
}
