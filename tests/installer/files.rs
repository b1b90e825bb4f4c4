//! The node's files at one moment: what an administrator can see of what a program has done.

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where the script may leave something. What containerd keeps below /var/lib/containerd is its own affair.
const WATCHED: [&str; 5] = [
    "etc",
    "opt",
    "var/lib/rancher",
    "var/lib/preopen",
    "var/snap",
];

/// Each path with its rights and, of files, the bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Files(BTreeMap<PathBuf, (u32, Option<Vec<u8>>)>);

impl Files {
    /// Those of the node below this directory.
    pub(crate) fn of(root: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        for directory in WATCHED {
            read(&root.join(directory), &mut files)?;
        }
        Ok(Self(files))
    }

    /// The paths, from the root, that are in one and not in the other, or differ.
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
        .then(|| std::fs::read(path).with_context(|| path.display().to_string()))
        .transpose()?;
    files.insert(path.to_owned(), (metadata.permissions().mode(), bytes));
    if metadata.is_dir() {
        for entry in std::fs::read_dir(path)? {
            read(&entry?.path(), files)?;
        }
    }
    Ok(())
}
