//! Builds of pinned packages, kept for all clones on a machine. The name of each contains a hash of its inputs.

use anyhow::{Context, Result};
use std::hash::{DefaultHasher, Hash};
use std::path::{Path, PathBuf};
use visits_support::xdg;

/// Returns the directory of all of them.
pub(crate) fn directory() -> Result<PathBuf> {
    let caches = xdg::cache_home()
        .context("no directory for caches: set XDG_CACHE_HOME or HOME to an absolute path")?;
    Ok(caches.join("visits"))
}

/// Returns a directory after filling it, unless an earlier run has done that. It is filled under another name and then
/// renamed, so that it is complete or absent.
pub(crate) fn filled(
    directory: PathBuf,
    fill: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    if directory.is_dir() {
        return Ok(directory);
    }
    let partial = directory.with_added_extension(std::process::id().to_string());
    std::fs::create_dir_all(&partial)
        .with_context(|| format!("cannot create {}", partial.display()))?;
    let filled = fill(&partial).and_then(|()| match std::fs::rename(&partial, &directory) {
        // A run beside this one may have been faster.
        Err(error) if !directory.is_dir() => {
            Err(error).with_context(|| format!("cannot rename to {}", directory.display()))
        }
        _ => Ok(()),
    });
    let _ = std::fs::remove_dir_all(&partial);
    filled.map(|()| directory)
}

/// Hashes every file below a directory, in an order that does not depend on the file system.
pub(crate) fn hash_files(directory: &Path, hasher: &mut DefaultHasher) -> Result<()> {
    for path in entries(directory)? {
        if path.is_dir() {
            hash_files(&path, hasher)?;
        } else {
            let bytes =
                std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            (path.file_name(), bytes).hash(hasher);
        }
    }
    Ok(())
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(directory)
        .with_context(|| format!("cannot read the directory {}", directory.display()))?;
    let mut paths = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}
