//! `cargo xtask setup`: the packages that the tests need, from Debian. `cargo xtask test` installs those of a kind of
//! tests when they are missing.

use crate::{cargo, workspace};
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::process::Command;

/// Packages that one kind of tests needs.
pub(crate) struct Packages {
    /// What they are for.
    what: &'static str,
    names: &'static [&'static str],
}

/// The browser, the font that the page asks for first, and one for everything else.
pub(crate) const BROWSER: Packages = Packages {
    what: "the browser",
    names: &["chromium", "fonts-inter", "fonts-dejavu-core"],
};

/// What containerd and runc are built with, beside Go, and what their tests call. Debian's Go is too old.
pub(crate) const NODE: Packages = Packages {
    what: "what the containerd tests need",
    names: &[
        "busybox-static",
        "e2fsprogs",
        "iproute2",
        "libseccomp-dev",
        "pkg-config",
    ],
};

/// Installs all packages; those that are there already stay as they are.
pub(crate) fn run() -> Result<()> {
    BROWSER.install()?;
    NODE.install()
}

impl Packages {
    /// Installs them.
    pub(crate) fn install(&self) -> Result<()> {
        if !can_install() {
            bail!("this needs root on Debian; run: {}", self.by_hand());
        }
        eprintln!("==> installing {} with apt-get", self.names.join(", "));
        self.apt(&["update"])?;
        let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
        arguments.extend(self.names);
        self.apt(&arguments)
    }

    /// What someone without root asks an administrator to type.
    pub(crate) fn by_hand(&self) -> String {
        format!(
            "sudo apt-get install --no-install-recommends {}",
            self.names.join(" ")
        )
    }

    fn apt(&self, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new("apt-get");
        command
            .args(["-qq", "-o", "Dpkg::Use-Pty=0"])
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive");
        cargo::run(command).with_context(|| format!("install {}", self.what))
    }
}

/// Whether the shim's one C library is here, which is asked of the C compiler: it would be the one to miss it. Only on
/// Linux is there a shim to be linked with it.
pub(crate) fn shim_links() -> bool {
    const LIBRARY: &str = "libseccomp.so";
    if cfg!(not(target_os = "linux")) {
        return true;
    }
    let path = Command::new("cc")
        .arg(format!("-print-file-name={LIBRARY}"))
        .output();
    // A library that is not found is printed as it was asked for.
    path.is_ok_and(|path| String::from_utf8_lossy(&path.stdout).trim() != LIBRARY)
}

/// Installs what the shim is linked with, where it is missing and that is possible.
pub(crate) fn prepare_shim() -> Result<()> {
    if shim_links() {
        return Ok(());
    }
    if can_install() {
        return NODE.install();
    }
    eprintln!(
        "note: without libseccomp the shim is left out; for it: {}",
        NODE.by_hand()
    );
    Ok(())
}

/// Whether packages can be installed here.
pub(crate) fn can_install() -> bool {
    workspace::is_root() && workspace::program(&["apt-get"]).is_some()
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
