//! Builds OCI images without Docker: one layer of files, the same bytes on every machine and at every time. It is a
//! crate of its own because two very different programs use it: `cargo xtask image`, for the counter, and the tests,
//! for images that no Dockerfile could give so exactly.
//!
//! - `layer`: the files, as a tar and its gzip
//! - `blob`: what is addressed by its digest, and JSON in the one order that keeps digests the same
//! - `layout`: the OCI image layout, as a directory and as the tar that `ctr images import` takes
//! - `docker`: the archive that `docker load` takes
//! - `component`, `artifact`: the CNCF's wasm artifact
//! - `release`: the archive that carries the shim to a node, and what the shim needs there
//! - `date`, `file`, `platform`: the time in all of them, files replaced as one, the platforms
//!
//! The documents are those of `oci-spec`, the tar is written by `tar`, the gzip by `flate2` with its backend in Rust.
//! `ocidir` would spare the file `layout`, and is not used: it links OpenSSL and zlib, both in C, and knows no nested
//! index, no tar of a layout and no Docker archive, so that most of it would stand here all the same. `oci-wasm`
//! stamps its configuration with the current time and brings a registry's client along.
//!
//! The two platforms share the layer, for what it holds is wasm; only their configurations differ, by a word.

mod artifact;
mod blob;
mod component;
mod date;
mod docker;
mod file;
mod image;
mod layer;
mod layout;
mod platform;
mod release;
#[cfg(test)]
mod tests;

pub use artifact::Artifact;
pub use date::SourceDate;
pub use image::Image;
pub use platform::Platform;
pub use release::{Needs, Release};

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// How tools name it: for an OCI layout, the digest of the index or manifest that the name stands for; for a
    /// Docker archive, the image's ID.
    pub digest: String,
    /// Its size in bytes: of a directory, that of all its files.
    pub size: u64,
}
