//! What `k8s/`, `runtimeclass/` and the pages about it promise, without a cluster: rendered by the kubectl that the cluster tests use,
//! and held against the rest of the repository, so that neither drifts from the other.
//!
//! - [`render`]: kubectl's rendering of a directory, and the objects in it
//! - [`base`]: the counters as `kubectl apply -k k8s` makes them
//! - [`overlays`]: what each overlay changes, and that they can be combined
//! - [`installer`]: what installs the shim on nodes, its image and its users
//! - [`pages`]: files, commands and versions that the pages name
//!
//! That a real API server takes the manifests, and what becomes of them, is shown by the cluster suite. Tests that
//! need kubectl are ignored by a plain `cargo test`, which has none.

mod base;
mod installer;
mod overlays;
mod pages;
mod render;

use std::path::{Path, PathBuf};

/// The version of the workspace, and so of the image.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The top of the repository.
fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
