//! A component's machine code, found on the node before the container is entered.
//!
//! The manifest and the component are read from the image here, on the node and as root, by paths that the image
//! made: each is resolved below the image's root, symbolic links included (see `super::inside`). What the pod mounts
//! over the image is not seen; a component from there is compiled inside, by the pod and within its limits, at every
//! start. So is one that could not be compiled here, and then the container's log says why. The host compares the digest
//! of what it finds inside with that of what was found here: a wrong guess costs time and nothing else.
//!
//! Code of an image is compiled once and mapped by all pods of it, so no pod may have a hand in making it: see
//! `super::compile`.

use super::code::Store;
use super::compile::Account;
use super::executor::manifest_of;
use super::inside;
use anyhow::{Context, Result};
use libcontainer::oci_spec::runtime::Spec;
use preopen_host::cache::Entry;
use preopen_host::manifest::Manifest;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Bytes of a manifest, at most.
const MAX_MANIFEST: u64 = 1 << 20;

/// What the kernel is to think of a process that compiles or waits for it, when memory runs out: it may go before any
/// pod does.
const DISPENSABLE: &str = "1000";

/// The code of the component that the container will serve, if it serves one. That there is none is said on standard
/// error, which is the shim's log, and is no failure.
pub(super) fn code(spec: &Spec, root: &File, store: &Store<'_>) -> Option<Entry> {
    let manifest = manifest_of(spec)?;
    match dispensable(|| find(root, &manifest, store)) {
        Ok(code) => Some(code),
        Err(error) => {
            eprintln!("the component is compiled in its container: {error:#}");
            None
        }
    }
}

fn find(root: &File, manifest: &Path, store: &Store<'_>) -> Result<Entry> {
    let text = inside::read(root, manifest, MAX_MANIFEST)?;
    let text = String::from_utf8(text).context("the manifest is not UTF-8")?;
    let component = Manifest::parse(manifest, &text)?.component;
    let describe = || format!("cannot read {} in the image", component.display());
    let found = inside::find(root, &component).with_context(describe)?;
    let wasm = inside::open(&found).with_context(describe)?;
    store
        .code(wasm, &Account::Node)
        .with_context(|| component.display().to_string())
}

/// Does the work with an OOM score of its own: the container's processes get theirs from the specification, or this
/// process's.
fn dispensable<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    let path = "/proc/self/oom_score_adj";
    let before = std::fs::read_to_string(path).context(path)?;
    std::fs::write(path, DISPENSABLE).context(path)?;
    let done = work();
    std::fs::write(path, before.trim()).context(path)?;
    done
}

/// A path of the container's, made absolute.
pub(super) fn absolute(spec: &Spec, path: &str) -> PathBuf {
    let directory = spec
        .process()
        .as_ref()
        .map(|process| process.cwd().as_path());
    directory.unwrap_or(Path::new("/")).join(path)
}
