//! The OCI image layout: `oci-layout`, `index.json`, and the blobs by their digests, as a directory or as a tar.

use crate::archive::{Archive, Attributes};
use crate::blob::{Blob, json};
use crate::{SourceDate, Written};
use anyhow::{Context, Result};
use oci_spec::image::{Descriptor, ImageIndexBuilder, MediaType, OciLayoutBuilder, SCHEMA_VERSION};
use std::collections::BTreeMap;
use std::path::Path;
use visits_support::files;

const BLOBS: &str = "blobs/sha256";
const HEADER: &str = "oci-layout";
const INDEX: &str = "index.json";

/// One image or artifact with all its blobs.
pub(crate) struct Layout {
    /// The document that the image's name stands for, with the name in its annotations.
    pub(crate) target: Descriptor,
    pub(crate) blobs: Vec<Blob>,
}

impl Layout {
    /// Writes the directory. `index.json` comes last, so that a reader finds the old image or the new one.
    pub(crate) fn write_directory(&self, directory: &Path) -> Result<Written> {
        let blobs = directory.join(BLOBS);
        std::fs::create_dir_all(&blobs)
            .with_context(|| format!("cannot create {}", blobs.display()))?;
        for blob in &self.blobs {
            files::replace(&blobs.join(blob.digest.digest()), &blob.bytes)?;
        }
        let (header, index) = self.documents()?;
        files::replace(&directory.join(HEADER), &header)?;
        files::replace(&directory.join(INDEX), &index)?;
        self.sweep(&blobs)
            .with_context(|| format!("cannot remove the old blobs in {}", blobs.display()))?;
        let size: usize = self.blobs.iter().map(|blob| blob.bytes.len()).sum();
        Ok(self.written(size + header.len() + index.len()))
    }

    /// Removes the blobs of the previous image. Files with other names than a blob's are kept.
    fn sweep(&self, blobs: &Path) -> std::io::Result<()> {
        for entry in std::fs::read_dir(blobs)? {
            let entry = entry?;
            let name = entry.file_name();
            let is_digest =
                name.len() == 64 && name.as_encoded_bytes().iter().all(u8::is_ascii_hexdigit);
            let is_ours = self.blobs.iter().any(|blob| name == *blob.digest.digest());
            if is_digest && !is_ours && entry.file_type()?.is_file() {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Writes the same as a tar.
    pub(crate) fn write_tar(&self, path: &Path, date: SourceDate) -> Result<Written> {
        let mut archive = Archive::new();
        for directory in ["blobs", BLOBS] {
            archive.directory(directory, Attributes::of_root(0o755, date))?;
        }
        let (header, index) = self.documents()?;
        let mut files: BTreeMap<String, &[u8]> = self
            .blobs
            .iter()
            .map(|blob| (format!("{BLOBS}/{}", blob.digest.digest()), &*blob.bytes))
            .collect();
        files.insert(HEADER.to_owned(), &header);
        files.insert(INDEX.to_owned(), &index);
        for (name, bytes) in files {
            archive.file(&name, Attributes::of_root(0o644, date), bytes)?;
        }
        let tar = archive.finish()?;
        files::replace(path, &tar)?;
        Ok(self.written(tar.len()))
    }

    /// Returns `oci-layout` and `index.json`.
    fn documents(&self) -> Result<(Vec<u8>, Vec<u8>)> {
        let header = OciLayoutBuilder::default()
            .image_layout_version("1.0.0")
            .build()?;
        let index = ImageIndexBuilder::default()
            .schema_version(SCHEMA_VERSION)
            .media_type(MediaType::ImageIndex)
            .manifests([self.target.clone()])
            .build()?;
        Ok((json(&header)?, json(&index)?))
    }

    fn written(&self, size: usize) -> Written {
        Written {
            digest: self.target.digest().to_string(),
            size: size as u64,
        }
    }
}
