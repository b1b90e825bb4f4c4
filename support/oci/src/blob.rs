//! Content that is addressed by its digest: layers, and the JSON documents that refer to them.

use anyhow::{Context, Result};
use oci_spec::image::{Descriptor, MediaType, Sha256Digest};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// Bytes with their type and digest.
pub(crate) struct Blob {
    pub(crate) bytes: Vec<u8>,
    pub(crate) digest: Sha256Digest,
    media_type: MediaType,
}

impl Blob {
    pub(crate) fn new(media_type: MediaType, bytes: Vec<u8>) -> Self {
        Self {
            digest: sha256(&bytes),
            media_type,
            bytes,
        }
    }

    /// Returns the blob of a JSON document.
    pub(crate) fn document(media_type: MediaType, document: &impl Serialize) -> Result<Self> {
        Ok(Self::new(media_type, json(document)?))
    }

    /// Returns the descriptor by which a document refers to this blob.
    pub(crate) fn descriptor(&self) -> Descriptor {
        Descriptor::new(
            self.media_type.clone(),
            self.bytes.len() as u64,
            self.digest.clone(),
        )
    }
}

/// Returns the SHA-256 of these bytes in hexadecimal digits.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut digits = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

pub(crate) fn sha256(bytes: &[u8]) -> Sha256Digest {
    sha256_hex(bytes)
        .parse()
        .expect("64 hexadecimal digits are a digest")
}

/// Returns JSON with sorted keys. The documents use hash maps, whose order differs in every process. `Value` alone is not
/// enough: any crate in the build can turn its sorting off by a feature of serde_json.
pub(crate) fn json(document: &impl Serialize) -> Result<Vec<u8>> {
    let mut value =
        serde_json::to_value(document).context("cannot write a document of the image")?;
    value.sort_all_objects();
    Ok(serde_json::to_vec(&value)?)
}
