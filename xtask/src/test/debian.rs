//! Debian's own containerd and runc, of other versions than the tests': fetched and unpacked, never installed.

use crate::{go, workspace};
use anyhow::{Context, Result, ensure};
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
    let directory = go::cache()?.join("debian").join(release()?);
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
        quietly(
            Command::new("apt-get")
                .args(["-q", "download"])
                .args(PACKAGES),
            directory,
        )
    };
    // A machine that has never asked has no list of what there is.
    if download().is_err() {
        quietly(Command::new("apt-get").args(["-q", "update"]), directory)?;
        download()?;
    }
    for entry in std::fs::read_dir(directory)? {
        let package = entry?.path();
        quietly(
            Command::new("dpkg-deb")
                .arg("--extract")
                .arg(&package)
                .arg(directory),
            directory,
        )?;
        std::fs::remove_file(package)?;
    }
    Ok(())
}

fn quietly(command: &mut Command, directory: &Path) -> Result<()> {
    let line = crate::cargo::line(command);
    let output = command
        .current_dir(directory)
        .output()
        .with_context(|| format!("start {line}"))?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{line}: {}", error.trim());
    Ok(())
}
