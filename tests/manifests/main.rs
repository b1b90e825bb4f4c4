//! The promises of `k8s/`, `runtimeclass/` and the pages, tested without a cluster: kubectl renders the manifests, and the
//! tests compare them with the rest of the repository.
//!
//! - [`render`]: kubectl's rendering of a directory, and the objects in it
//! - [`base`]: the counters that `kubectl apply -k k8s` creates
//! - [`overlays`]: the change that each overlay makes, and their combination
//! - [`installer`]: the installer of the shim, its image and its users
//! - [`pages`]: the files, commands and versions that the pages name
//!
//! The cluster suite applies the manifests to a real API server. A plain `cargo test` has no kubectl and ignores the tests that
//! need it.

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
