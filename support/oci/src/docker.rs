//! The archive that `docker save` writes and `docker load` reads, in its version 1.2 with a `manifest.json`. Docker reads OCI
//! layouts only with containerd's image store. The layer is compressed here too: every reader of this format unpacks it, and
//! containerd then has it under the same digest as the layout's.

use crate::SourceDate;
use crate::archive::{Archive, Attributes};
use crate::blob::{Blob, json};
use anyhow::Result;
use serde_json::json;

/// Returns the archive of an image with one platform and one layer.
pub(crate) fn archive(
    name: &str,
    config: &Blob,
    layer: &Blob,
    date: SourceDate,
) -> Result<Vec<u8>> {
    let config_file = format!("{}.json", config.digest.digest());
    let layer_file = format!("{}.tar.gz", layer.digest.digest());
    let manifest = json(&json!([{
        "Config": config_file,
        "RepoTags": [name],
        "Layers": [layer_file],
    }]))?;
    let mut archive = Archive::new();
    let attributes = Attributes::of_root(0o644, date);
    archive.file("manifest.json", attributes, &manifest)?;
    archive.file(&config_file, attributes, &config.bytes)?;
    archive.file(&layer_file, attributes, &layer.bytes)?;
    archive.finish()
}
