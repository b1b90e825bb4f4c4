//! Debian's own containerd and runc, of other versions than the tests': fetched and unpacked, never installed.

use crate::command::quietly;
use crate::{cache, workspace};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is unpacked. The rest of what they depend on is part of every Debian.
const PACKAGES: [&str; 2] = ["containerd", "runc"];

/// The directory that they are unpacked in; nothing, with a note, where that is not possible.
pub(crate) fn unpack() -> Option<PathBuf> {
    workspace::program(&["apt-get"])?;
    match unpacked() {
        Ok(directory) => Some(directory),
        Err(error) => {
            eprintln!(
                "note: there is no containerd of Debian's, so its tests are left out: {error:#}"
            );
            None
        }
    }
}

fn unpacked() -> Result<PathBuf> {
    let directory = cache::directory()?.join("debian").join(release()?);
    if directory.is_dir() {
        return Ok(directory);
    }
    let partial = directory.with_extension(std::process::id().to_string());
    std::fs::create_dir_all(&partial).with_context(|| format!("make {}", partial.display()))?;
    let fetched = fetch(&partial).and_then(|()| {
        std::fs::rename(&partial, &directory).with_context(|| directory.display().to_string())
    });
    let _ = std::fs::remove_dir_all(&partial);
    fetched.map(|()| directory)
}

/// The Debian that this is, for another has other versions.
fn release() -> Result<String> {
    let path = "/etc/debian_version";
    let text = std::fs::read_to_string(path).context(path)?;
    Ok(text.trim().replace('/', "-"))
}

fn fetch(directory: &Path) -> Result<()> {
    let download = || {
        let mut download = Command::new("apt-get");
        download.args(["-q", "download"]).args(PACKAGES);
        quietly(download.current_dir(directory))
    };
    // A machine that has never asked has no list of what there is.
    if download().is_err() {
        quietly(Command::new("apt-get").args(["-q", "update"]))?;
        download()?;
    }
    for entry in std::fs::read_dir(directory)? {
        let package = entry?.path();
        quietly(
            Command::new("dpkg-deb")
                .arg("--extract")
                .arg(&package)
                .arg(directory),
        )?;
        std::fs::remove_file(package)?;
    }
    Ok(())
}
