//! The node's files at one moment, to show what a program has changed.

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The directories that the script may change. /var/lib/containerd is containerd's own.
const WATCHED: [&str; 5] = [
    "etc",
    "opt",
    "var/lib/rancher",
    "var/lib/preopen",
    "var/snap",
];

/// Each path with its mode and the content of a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Files(BTreeMap<PathBuf, (u32, Option<Vec<u8>>)>);

impl Files {
    /// Reads the files of the node with this root directory.
    pub(crate) fn of(root: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        for directory in WATCHED {
            read(&root.join(directory), &mut files)?;
        }
        Ok(Self(files))
    }

    /// Returns the paths, below the root, that were added, removed or changed.
    pub(crate) fn changed_since(&self, before: &Self, root: &Path) -> Vec<String> {
        let both = self.0.keys().chain(before.0.keys());
        let mut changed: Vec<_> = both
            .filter(|path| self.0.get(*path) != before.0.get(*path))
            .map(|path| {
                let path = path.strip_prefix(root).unwrap_or(path);
                format!("/{}", path.display())
            })
            .collect();
        changed.sort();
        changed.dedup();
        changed
    }
}

fn read(path: &Path, files: &mut BTreeMap<PathBuf, (u32, Option<Vec<u8>>)>) -> Result<()> {
    let Ok(metadata) = path.symlink_metadata() else {
        return Ok(());
    };
    let bytes = metadata
        .is_file()
        .then(|| std::fs::read(path).with_context(|| format!("cannot read {}", path.display())))
        .transpose()?;
    files.insert(path.to_owned(), (metadata.permissions().mode(), bytes));
    if metadata.is_dir() {
        for entry in std::fs::read_dir(path)? {
            read(&entry?.path(), files)?;
        }
    }
    Ok(())
}
