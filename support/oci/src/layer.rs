//! An image's files, and the layer made of them: a compressed tar.

use crate::SourceDate;
use crate::archive::{self, Archive, Attributes};
use crate::blob::{Blob, sha256};
use anyhow::{Context, Result, bail, ensure};
use flate2::Compression;
use oci_spec::image::MediaType;
use std::collections::BTreeMap;

/// A file, directory or link of the image.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The absolute path in the image, such as `/app/spin.toml`.
    pub(crate) path: String,
    pub(crate) content: Content,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mode: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Directory,
    File(Vec<u8>),
    /// A link to this path.
    Symlink(String),
}

/// The layer, and the digest of its tar, which configurations contain.
pub(crate) struct Layer {
    pub(crate) blob: Blob,
    pub(crate) diff_id: String,
}

/// Packs the entries and the directories above them.
pub(crate) fn pack(entries: &[Entry], date: SourceDate, compression: Compression) -> Result<Layer> {
    let mut archive = Archive::new();
    for (name, entry) in tree(entries)? {
        let Some(entry) = entry else {
            archive.directory(name, Attributes::of_root(0o755, date))?;
            continue;
        };
        let attributes = Attributes {
            uid: entry.uid.into(),
            gid: entry.gid.into(),
            mode: entry.mode,
            date,
        };
        match &entry.content {
            Content::Directory => archive.directory(name, attributes)?,
            Content::File(bytes) => archive.file(name, attributes, bytes)?,
            Content::Symlink(target) => archive.symlink(name, attributes, target)?,
        }
    }
    let tar = archive.finish()?;
    Ok(Layer {
        diff_id: format!("sha256:{}", sha256(&tar).digest()),
        blob: Blob::new(MediaType::ImageLayerGzip, archive::gzip(&tar, compression)?),
    })
}

/// Returns the entries by their names in the tar, without the leading slash. Directories above them without an entry are
/// `None`. The names are sorted, so the order of the calls does not matter and a directory precedes its content.
fn tree(entries: &[Entry]) -> Result<BTreeMap<&str, Option<&Entry>>> {
    let mut tree = BTreeMap::new();
    for entry in entries {
        let twice = tree.insert(name(entry)?, Some(entry)).is_some();
        ensure!(!twice, "{} is in the image twice", entry.path);
    }
    for entry in entries {
        let name = name(entry)?;
        for (slash, _) in name.match_indices('/') {
            let above = tree.entry(&name[..slash]).or_insert(None);
            if let Some(above) = above.filter(|above| above.content != Content::Directory) {
                bail!(
                    "{} lies below {}, which is not a directory",
                    entry.path,
                    above.path
                );
            }
        }
    }
    Ok(tree)
}

fn name(entry: &Entry) -> Result<&str> {
    let path = &entry.path;
    let name = path
        .strip_prefix('/')
        .with_context(|| format!("{path}: a path in an image must begin with a slash"))?;
    for part in name.split('/') {
        ensure!(
            !matches!(part, "" | "." | "..") && !part.contains('\0'),
            "{path}: a path in an image must not contain an empty part, \".\", \"..\" or a zero byte"
        );
        ensure!(
            !part.starts_with(".wh."),
            "{path}: a name that begins with .wh. would mark a deleted file"
        );
    }
    ensure!(
        entry.mode <= 0o7777,
        "{path}: mode {:o} has bits beyond the permissions",
        entry.mode
    );
    Ok(name)
}
