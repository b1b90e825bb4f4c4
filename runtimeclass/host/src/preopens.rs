//! The directories a component sees: each entry of the manifest's `files`, found on this machine.
//!
//! They are mounted in place, writable where the file system is: whether a mount is read-only is the kernel's to
//! say, and the component is told by the error of its call.
//!
//! - `kernel`: the file systems that no component may see

#[cfg(target_os = "linux")]
mod kernel;

use crate::manifest::Manifest;
use anyhow::{Context, Result, bail, ensure};
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
    let preopen = |mount: &crate::manifest::Mount| Preopen {
        host: match sources.get(&mount.source) {
            Some(given) => given.clone(),
            None => directory.join(&mount.source),
        },
        guest: mount.destination.clone(),
    };
    let preopens: Vec<_> = manifest.files.iter().map(preopen).collect();
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
