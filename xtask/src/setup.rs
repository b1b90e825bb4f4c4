//! `cargo xtask setup`: the packages that the browser test needs, from Debian. `cargo xtask test` calls it when there
//! is no browser.

use crate::{cargo, workspace};
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::process::Command;

/// The browser, the font that the page asks for first, and one for everything else.
const PACKAGES: [&str; 3] = ["chromium", "fonts-inter", "fonts-dejavu-core"];

/// Installs the packages; those that are there already stay as they are.
pub(crate) fn run() -> Result<()> {
    if !can_install() {
        bail!("this needs root on Debian; run: {}", by_hand());
    }
    eprintln!("==> installing {} with apt-get", PACKAGES.join(", "));
    apt(&["update"])?;
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(PACKAGES);
    apt(&arguments)
}

/// Whether [`run`] can do anything here.
pub(crate) fn can_install() -> bool {
    workspace::is_root() && workspace::program(&["apt-get"]).is_some()
}

/// What someone without root asks an administrator to type.
pub(crate) fn by_hand() -> String {
    format!(
        "sudo apt-get install --no-install-recommends {}",
        PACKAGES.join(" ")
    )
}

/// Where the browser is, or nothing: the one that `CHROMIUM_BIN` names, else the first on the `PATH`.
pub(crate) fn chromium() -> Result<Option<PathBuf>> {
    let Some(named) = std::env::var_os("CHROMIUM_BIN") else {
        return Ok(workspace::program(&[
            "chromium",
            "chromium-browser",
            "google-chrome",
        ]));
    };
    let path = std::path::absolute(&named)?;
    if !path.is_file() {
        bail!("CHROMIUM_BIN={}: no such file", path.display());
    }
    Ok(Some(path))
}

fn apt(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    command
        .args(["-qq", "-o", "Dpkg::Use-Pty=0"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive");
    cargo::run(command).context("install the browser")
}
