//! The machine code of a container's components, found on the node before the container is entered.
//!
//! The manifest and the components are read from the image here, on the node and as root, by paths that the image
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
use anyhow::{Context, Result, anyhow};
use libcontainer::oci_spec::runtime::Spec;
use preopen_host::cache::Entry;
use preopen_host::manifest::Manifest;
use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Bytes of a manifest, at most.
const MAX_MANIFEST: u64 = 1 << 20;

/// Components of a manifest that get code of the node, at most. Each needs a descriptor of the container's process.
const MAX_COMPONENTS: usize = 32;

/// How long code is looked for. The last one that is looked for may take as long as a single one.
const MAX_TIME: Duration = Duration::from_secs(10);

/// What the kernel is to think of a process that compiles or waits for it, when memory runs out: it may go before any
/// pod does.
const DISPENSABLE: &str = "1000";

/// The code of the components that the container will serve, if it serves any. What is missing is said on standard error,
/// which is the shim's log, and is no failure.
pub(super) fn code(spec: &Spec, root: &File, store: &Store<'_>) -> Vec<Entry> {
    let Some(manifest) = manifest_of(spec) else {
        return Vec::new();
    };
    let found = dispensable(|| {
        let components = components(root, &manifest)?;
        Ok(found(root, &components, store))
    });
    found.unwrap_or_else(|error| {
        eprintln!("components are compiled in their container: {error:#}");
        Vec::new()
    })
}

/// Returns the paths of the components that the manifest serves.
fn components(root: &File, manifest: &Path) -> Result<BTreeSet<PathBuf>> {
    let text = inside::read(root, manifest, MAX_MANIFEST)?;
    let text = String::from_utf8(text).context("the manifest is not UTF-8")?;
    let components = Manifest::parse(manifest, &text)?.components;
    Ok(components.into_iter().map(|it| it.source).collect())
}

/// Returns the code of each component that has or gets some.
fn found(root: &File, components: &BTreeSet<PathBuf>, store: &Store<'_>) -> Vec<Entry> {
    let started = Instant::now();
    let mut entries = Vec::new();
    for component in components {
        let found = if entries.len() < MAX_COMPONENTS && started.elapsed() < MAX_TIME {
            find(root, component, store)
        } else {
            Err(anyhow!("it is one of too many: {}", component.display()))
        };
        match found {
            Ok(entry) => entries.push(entry),
            Err(error) => eprintln!("a component is compiled in its container: {error:#}"),
        }
    }
    entries
}

fn find(root: &File, component: &Path, store: &Store<'_>) -> Result<Entry> {
    let describe = || format!("cannot read {} in the image", component.display());
    let found = inside::find(root, component).with_context(describe)?;
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
