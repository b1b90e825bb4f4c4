//! `cargo xtask setup`: the packages that the tests need, from Debian. `cargo xtask test` installs those of a kind of
//! tests when they are missing.

use crate::{command, workspace};
use anyhow::{Context, Result, bail, ensure};
use std::path::PathBuf;
use std::process::Command;

/// Packages that one kind of tests needs.
pub(crate) struct Packages {
    /// What they are for.
    what: &'static str,
    names: &'static [&'static str],
    /// Whether all that is needed of them is here, from whatever source.
    here: fn() -> bool,
}

/// The browser, the font that the page asks for first, and one for everything else.
pub(crate) const BROWSER: Packages = Packages {
    what: "the browser",
    names: &["chromium", "fonts-inter", "fonts-dejavu-core"],
    here: || chromium().is_ok_and(|path| path.is_some()),
};

/// The reverse proxies that the host is tested behind.
pub(crate) const PROXIES: Packages = Packages {
    what: "the reverse proxies",
    names: &["haproxy", "nginx-light"],
    here: || nginx().is_some() && haproxy().is_some(),
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
    here: node_is_here,
};

/// The same for a cluster of one node: what Kubernetes calls, beside what containerd and runc are built with, and the
/// language that one test reads a count in.
pub(crate) const CLUSTER: Packages = Packages {
    what: "what the cluster needs",
    names: &[
        "busybox-static",
        "conntrack",
        "e2fsprogs",
        "iproute2",
        "iptables",
        "libseccomp-dev",
        "pkg-config",
        "python3-minimal",
    ],
    here: || node_is_here() && all_on_path(&["conntrack", "iptables", "nsenter", "python3"]),
};

/// What builds the tests' Python components. Debian keeps the part of Python that makes environments in a package of
/// its own.
pub(crate) const PYTHON: Packages = Packages {
    what: "what the Python components are built with",
    names: &["python3", "python3-venv"],
    here: || {
        let venv = Command::new("python3")
            .args(["-c", "import ensurepip, venv"])
            .output();
        venv.is_ok_and(|output| output.status.success())
    },
};

/// What builds the tests' JavaScript component.
pub(crate) const JAVASCRIPT: Packages = Packages {
    what: "what the JavaScript component is built with",
    names: &["nodejs", "npm"],
    here: || all_on_path(&["node", "npm"]),
};

/// Installs all packages; those that are there already stay as they are.
pub(crate) fn run() -> Result<()> {
    BROWSER.install()?;
    PROXIES.install()?;
    NODE.install()?;
    CLUSTER.install()?;
    PYTHON.prepare()?;
    JAVASCRIPT.prepare()
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

    /// Installs them where something is missing; an error where that is not possible, or not enough.
    pub(crate) fn prepare(&self) -> Result<()> {
        if (self.here)() {
            return Ok(());
        }
        if can_install() {
            self.install()?;
        }
        ensure!(
            (self.here)(),
            "something of these is missing: {}",
            self.by_hand()
        );
        Ok(())
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
        command::run(command).with_context(|| format!("install {}", self.what))
    }
}

/// Where nginx is. Debian has it where only root's `PATH` looks.
pub(crate) fn nginx() -> Option<PathBuf> {
    administrators("nginx")
}

/// Where HAProxy is, likewise.
pub(crate) fn haproxy() -> Option<PathBuf> {
    administrators("haproxy")
}

fn administrators(name: &str) -> Option<PathBuf> {
    let there = PathBuf::from("/usr/sbin").join(name);
    workspace::program(&[name]).or_else(|| there.is_file().then_some(there))
}

fn node_is_here() -> bool {
    let seccomp = Command::new("pkg-config")
        .args(["--exists", "libseccomp"])
        .status();
    all_on_path(&["ip", "mkfs.ext4", "unshare"])
        && seccomp.is_ok_and(|status| status.success())
        && busybox().is_some()
}

fn all_on_path(names: &[&str]) -> bool {
    names
        .iter()
        .all(|name| workspace::program(&[name]).is_some())
}

/// A busybox that runs in an image with nothing else in it.
pub(crate) fn busybox() -> Option<PathBuf> {
    let path = workspace::program(&["busybox"])?;
    let bytes = std::fs::read(&path).ok()?;
    // The name of the dynamic loader, which a static program does not have.
    let dynamic = bytes
        .windows(7)
        .any(|window| window == b"/ld-lin" || window == b"/ld-mus");
    (!dynamic).then_some(path)
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
