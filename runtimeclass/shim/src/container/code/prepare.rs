//! The machine code of a container's components, found on the node before the container is entered.
//!
//! The manifest and the components are read on the node and as root, by paths that the image chose. So each path is
//! resolved below the image's root, symbolic links included (see `container::bundle::rootfs`).
//!
//! Files that the pod mounts over the image are not visible here. A component among them is compiled inside, by the pod and
//! within its limits, at every start. So is a component that could not be compiled here; the shim's log gives the reason.
//! Inside, the host compares the digest of each component with the one that was found here. A mismatch costs only time.
//!
//! The code of an image is compiled once and mapped by all pods of the image, so no pod may take part in compiling it (see
//! `super::compile`).

use super::compile::Account;
use super::store::Store;
use crate::container::bundle::{rootfs, spec};
use anyhow::{Context, Result, anyhow};
use libcontainer::oci_spec::runtime::Spec;
use preopen_host::cache::Entry;
use preopen_host::manifest::Manifest;
use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The maximum number of bytes of a manifest.
const MAX_MANIFEST: u64 = 1 << 20;

/// The maximum number of components that get code from the node. Each needs a descriptor in the container's process.
const MAX_COMPONENTS: usize = 32;

/// The time after which no further component is looked up. The last one may take as long as any single one.
const MAX_TIME: Duration = Duration::from_secs(10);

/// The OOM score adjustment of a process that compiles or waits for a compiler. If memory runs out, the kernel kills it
/// before any pod.
const DISPENSABLE: &str = "1000";

/// Returns the code of the components that the container will serve. Missing code is no failure: the reason goes to standard
/// error, which is the shim's log.
pub(crate) fn code(spec: &Spec, root: &File, store: &Store<'_>) -> Vec<Entry> {
    let Some(manifest) = spec::manifest(spec) else {
        return Vec::new();
    };
    let found = dispensable(|| {
        let components = components(root, &manifest)?;
        Ok(found(root, &components, store))
    });
    found.unwrap_or_else(|error| {
        eprintln!("each component is compiled in its container: {error:#}");
        Vec::new()
    })
}

/// Returns the paths of the components that the manifest serves.
fn components(root: &File, manifest: &Path) -> Result<BTreeSet<PathBuf>> {
    let text = rootfs::read(root, manifest, MAX_MANIFEST)?;
    let text =
        String::from_utf8(text).with_context(|| format!("{} is not UTF-8", manifest.display()))?;
    let components = Manifest::parse(manifest, &text)?.components;
    Ok(components.into_iter().map(|it| it.source).collect())
}

/// Returns the code of each component that has some or gets some.
fn found(root: &File, components: &BTreeSet<PathBuf>, store: &Store<'_>) -> Vec<Entry> {
    let started = Instant::now();
    let mut entries = Vec::new();
    for component in components {
        let found = if entries.len() < MAX_COMPONENTS && started.elapsed() < MAX_TIME {
            find(root, component, store)
        } else {
            let component = component.display();
            Err(anyhow!(
                "{component}: only {MAX_COMPONENTS} components are compiled on the node, within {MAX_TIME:?}"
            ))
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
    let found = rootfs::find(root, component).with_context(describe)?;
    let wasm = rootfs::open(&found).with_context(describe)?;
    store
        .compiled(wasm, &Account::Node)
        .with_context(|| component.display().to_string())
}

/// Does the work with an OOM score of its own, and restores the score, because the container's processes inherit it unless
/// their specification has another.
fn dispensable<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    let path = "/proc/self/oom_score_adj";
    let before = std::fs::read_to_string(path).with_context(|| format!("cannot adjust {path}"))?;
    std::fs::write(path, DISPENSABLE).with_context(|| format!("cannot adjust {path}"))?;
    let done = work();
    std::fs::write(path, before.trim()).with_context(|| format!("cannot adjust {path}"))?;
    done
}
