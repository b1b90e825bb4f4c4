//! The directories that a component sees: the entries of the manifest's `files`, found on this machine.
//!
//! They are mounted in place, writable if their file system is. Only the kernel enforces read-only mounts, so the
//! component gets its error.
//!
//! - `kernel`: the file systems that no component may see
//! - `doubtful`: those that the log warns about

#[cfg(target_os = "linux")]
mod doubtful;
#[cfg(target_os = "linux")]
mod kernel;

use crate::manifest::{Component, Manifest, Mount};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

/// A directory of this machine, and its path in the component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Preopen {
    /// The path on this machine.
    pub(crate) host: PathBuf,
    /// The path in the component.
    pub(crate) guest: String,
}

/// Fails if one of `sources` is not a source of the manifest's `files`.
pub(crate) fn check_sources(
    manifest: &Manifest,
    sources: &BTreeMap<String, PathBuf>,
) -> Result<()> {
    let mounts = manifest.components.iter().flat_map(|it| &it.files);
    let missing = |source: &&String| !mounts.clone().any(|mount| mount.source == **source);
    if let Some(source) = sources.keys().find(missing) {
        bail!(
            "--source {source}=…: {} has no files with the source {source:?}",
            manifest.path.display()
        );
    }
    Ok(())
}

/// Finds the directory of every entry of a component's `files`. Relative paths start at the directory of the manifest
/// at `path`. `sources` maps sources of the manifest to other directories. Creates nothing. Logs a warning for a directory
/// on a file system whose promises are weaker than those of a local disk.
pub(crate) fn find(
    path: &Path,
    component: &Component,
    sources: &BTreeMap<String, PathBuf>,
) -> Result<Vec<Preopen>> {
    let directory = path.parent().unwrap_or(Path::new(""));
    let preopen = |mount: &Mount| Preopen {
        host: match sources.get(&mount.source) {
            Some(given) => given.clone(),
            None => directory.join(&mount.source),
        },
        guest: mount.destination.clone(),
    };
    let preopens: Vec<_> = component.files.iter().map(preopen).collect();
    check(&preopens)?;
    #[cfg(target_os = "linux")]
    doubtful::warn(&preopens);
    Ok(preopens)
}

/// Fails if a path is not a directory, or is an interface of the kernel.
///
/// Called again before each instance opens the directories. A component with a directory inside another one may be able
/// to replace it by a link.
pub(crate) fn check(preopens: &[Preopen]) -> Result<()> {
    #[cfg(target_os = "linux")]
    let mounts = kernel::Mounts::read();
    for preopen in preopens {
        let directory = open(preopen)?;
        #[cfg(target_os = "linux")]
        mounts.check(preopen, &directory)?;
        drop(directory);
    }
    Ok(())
}

fn open(preopen: &Preopen) -> Result<File> {
    use rustix::fs::{Mode, OFlags};
    let (path, guest) = (preopen.host.display(), &preopen.guest);
    #[cfg(target_os = "linux")]
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    #[cfg(not(target_os = "linux"))]
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let what = || format!("{path}: cannot open the directory for the component's {guest}");
    let file = rustix::fs::open(&preopen.host, flags, Mode::empty())
        .map_err(std::io::Error::from)
        .with_context(what)?;
    let file = File::from(file);
    if !file.metadata().with_context(what)?.is_dir() {
        bail!("{path}: not a directory, but the component's {guest} must be one");
    }
    Ok(file)
}
