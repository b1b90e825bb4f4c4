//! The directories a component sees: each entry of the manifest's `files`, found on this machine.
//!
//! They are mounted in place, writable where the file system is: whether a mount is read-only is the kernel's to
//! say, and the component is told by the error of its call.
//!
//! - `kernel`: the file systems that no component may see

#[cfg(target_os = "linux")]
mod kernel;

use crate::manifest::{Component, Manifest, Mount};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

/// A directory of this machine and where the component sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preopen {
    /// On this machine.
    pub host: PathBuf,
    /// In the component.
    pub guest: String,
}

/// Fails if one of `sources` is not a source of the manifest's `files`.
pub fn check_sources(manifest: &Manifest, sources: &BTreeMap<String, PathBuf>) -> Result<()> {
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

/// Finds the directory behind every entry of a component's `files`. Relative paths start at the directory of the manifest
/// at `path`. `sources` has the directories that stand behind a source instead of the one that the manifest names. Nothing
/// is created.
pub fn find(
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
    Ok(preopens)
}

/// Refuses what is no directory, or gives the component an interface of the kernel.
///
/// Called again before each instance opens the directories: a component may be able to replace one that lies in another
/// of its own by a link.
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
    let what = || format!("{path}: the directory for the component's {guest}");
    let file = rustix::fs::open(&preopen.host, flags, Mode::empty())
        .map_err(std::io::Error::from)
        .with_context(what)?;
    let file = File::from(file);
    if !file.metadata().with_context(what)?.is_dir() {
        bail!("{path}: not a directory, but the component's {guest} must be one");
    }
    Ok(file)
}
