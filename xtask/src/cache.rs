//! What is kept for every clone on this machine: what is built from pinned packages, each under a name that its inputs
//! decide.

use anyhow::{Context, Result};
use std::hash::{DefaultHasher, Hash};
use std::path::{Path, PathBuf};

/// Returns the directory in which it is kept.
pub(crate) fn directory() -> Result<PathBuf> {
    let absolute = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let caches = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
    Ok(caches
        .context("neither XDG_CACHE_HOME nor HOME says where to keep what is built")?
        .join("visits"))
}

/// Hashes every file below a directory, in an order that does not depend on the file system.
pub(crate) fn hash_files(directory: &Path, hasher: &mut DefaultHasher) -> Result<()> {
    for path in entries(directory)? {
        if path.is_dir() {
            hash_files(&path, hasher)?;
        } else {
            let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
            (path.file_name(), bytes).hash(hasher);
        }
    }
    Ok(())
}

/// Copies every file below a directory.
pub(crate) fn copy_files(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to).with_context(|| format!("make {}", to.display()))?;
    for path in entries(from)? {
        let to = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy_files(&path, &to)?;
        } else {
            std::fs::copy(&path, &to)
                .with_context(|| format!("copy {} to {}", path.display(), to.display()))?;
        }
    }
    Ok(())
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(directory).with_context(|| directory.display().to_string())?;
    let mut paths = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}
