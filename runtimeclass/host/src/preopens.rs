//! The directories a component sees: each entry of the manifest's `files`, found on this machine.
//!
//! They are mounted in place, writable where the file system is: whether a mount is read-only is the kernel's to
//! say, and the component is told by the error of its call.

use crate::manifest::Manifest;
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A directory of this machine and where the component sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preopen {
    /// On this machine.
    pub host: PathBuf,
    /// In the component.
    pub guest: String,
}

/// Finds the directory behind every entry of the manifest's `files`. `sources` says which directory stands behind
/// a source instead of the one the manifest names. Nothing is created.
pub fn find(manifest: &Manifest, sources: &BTreeMap<String, PathBuf>) -> Result<Vec<Preopen>> {
    for source in sources.keys() {
        ensure!(
            manifest.files.iter().any(|mount| mount.source == *source),
            "--source {source}=…: {} has no files with the source {source:?}",
            manifest.path.display()
        );
    }
    let directory = manifest.path.parent().unwrap_or(Path::new(""));
    let preopen = |mount: &crate::manifest::Mount| {
        let host = match sources.get(&mount.source) {
            Some(given) => given.clone(),
            None => directory.join(&mount.source),
        };
        check_directory(&host, &mount.destination)?;
        Ok(Preopen {
            host,
            guest: mount.destination.clone(),
        })
    };
    manifest.files.iter().map(preopen).collect()
}

fn check_directory(path: &Path, guest: &str) -> Result<()> {
    let metadata = std::fs::metadata(path).with_context(|| {
        format!(
            "{}: the directory for the component's {guest}",
            path.display()
        )
    })?;
    if !metadata.is_dir() {
        bail!(
            "{}: not a directory, but the component's {guest} must be one",
            path.display()
        );
    }
    Ok(())
}
