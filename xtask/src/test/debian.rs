//! Debian's own containerd and runc, whose versions differ from those that the tests build: downloaded and unpacked,
//! never installed.

use crate::cache;
use crate::command::quietly;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;
use visits_support::programs;

/// The packages. Everything else that they depend on is part of every Debian.
const PACKAGES: [&str; 2] = ["containerd", "runc"];

/// Returns why they cannot be downloaded here, if so.
pub(crate) fn unavailable() -> Option<String> {
    let apt = programs::find(&["apt-get"]);
    apt.is_none()
        .then(|| "this is not Debian: there is no apt-get".into())
}

/// Returns the directory in which they are unpacked, after downloading them if no earlier run has.
pub(crate) fn unpack() -> Result<PathBuf> {
    let directory = cache::directory()?.join("debian").join(release()?);
    cache::filled(directory, fetch)
}

/// Returns the version of this Debian, on which the versions of its packages depend.
fn release() -> Result<String> {
    let path = "/etc/debian_version";
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    Ok(text.trim().replace('/', "-"))
}

fn fetch(directory: &Path) -> Result<()> {
    let download = || {
        let mut download = Command::new("apt-get");
        download.args(["-q", "download"]).args(PACKAGES);
        quietly(download.current_dir(directory))
    };
    // A new machine has no list of the packages that exist.
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
