//! Writes OCI images without Docker: one layer of files, the same bytes on every machine and at every time.
//!
//! - `layer`: the files, as a tar and its gzip
//! - `image`: the files, the program that runs, and the documents for each platform
//! - `blob`: content that is addressed by its digest, and JSON with sorted keys, so that digests stay the same
//! - `layout`: the OCI image layout, as a directory and as the tar that `ctr images import` reads
//! - `docker`: the archive that `docker load` reads
//! - `component`, `artifact`: the CNCF's wasm artifact
//! - `archive`: tar and gzip without traces of the machine
//! - `date`, `platform`: the time in every document, and the platforms
//!
//! The documents are those of `oci-spec`, `tar` writes the tar, and `flate2` with its Rust backend the gzip. `ocidir`
//! would replace `layout`, but it links OpenSSL and zlib, both in C, and supports neither nested indexes nor tars of a
//! layout nor Docker archives. `oci-wasm` puts the current time into its configuration and depends on a registry client.
//!
//! All platforms share the layer unless an image holds native code: only their configurations differ, by one word.

mod archive;
mod artifact;
mod blob;
mod component;
mod date;
mod docker;
mod image;
mod layer;
mod layout;
mod platform;
#[cfg(test)]
mod tests;

pub use archive::{Archive, Attributes, gzip};
pub use artifact::Artifact;
pub use blob::sha256_hex;
pub use date::SourceDate;
pub use flate2::Compression;
pub use image::Image;
pub use platform::Platform;

/// The result of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The digest by which tools identify it: of an OCI layout, the index or manifest that the name stands for; of a Docker
    /// archive, the image's ID.
    pub digest: String,
    /// The size in bytes. A directory's size is that of all its files.
    pub size: u64,
}
