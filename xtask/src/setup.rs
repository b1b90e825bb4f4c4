//! `cargo xtask setup`: installs the packages that the tests need, from Debian. `cargo xtask test` installs the missing
//! ones of the kinds of tests that it runs.

use crate::command;
use anyhow::{Context, Result, bail, ensure};
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use visits_support::environment;
use visits_support::process::is_root;
use visits_support::programs::{all_found, find};

/// Packages that one kind of tests needs.
pub(crate) struct Packages {
    /// Their use, as a noun phrase.
    what: &'static str,
    names: &'static [&'static str],
    /// Returns whether their programs are here, from whatever source.
    here: fn() -> bool,
}

/// The browser, the font that the page asks for first, and a font for everything else.
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

/// An attack tool.
pub(crate) const ATTACKS: Packages = Packages {
    what: "the attack tool",
    names: &["slowhttptest"],
    here: || all_found(&["slowhttptest"]),
};

/// The block device and the file systems of the tests of power cuts and failing disks, and the tracer that leaves out system
/// calls there.
pub(crate) const DISKS: Packages = Packages {
    what: "the disks and file systems of the tests",
    names: &[
        "btrfs-progs",
        "e2fsprogs",
        "libnbd-bin",
        "nbdkit",
        "strace",
        "xfsprogs",
    ],
    here: || {
        all_found(&[
            "mkfs.btrfs",
            "mkfs.ext4",
            "mkfs.xfs",
            "nbdfuse",
            "nbdkit",
            "strace",
        ])
    },
};

/// The requirements of containerd, runc and their tests, beside Go. (Debian's Go is too old.)
pub(crate) const NODE: Packages = Packages {
    what: "requirements of containerd, runc and their tests",
    names: &[
        "busybox-static",
        "e2fsprogs",
        "iproute2",
        // The networks of critest's pods need it.
        "iptables",
        "libseccomp-dev",
        "pkg-config",
    ],
    here: node_is_here,
};

/// The requirements of a cluster of one node: those of containerd and runc, the programs that Kubernetes calls, and the
/// language in which one test reads a count.
pub(crate) const CLUSTER: Packages = Packages {
    what: "requirements of the cluster",
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
    here: || node_is_here() && all_found(&["conntrack", "nsenter", "python3"]),
};

/// The programs in the images of Kubernetes' own tests.
pub(crate) const KUBERNETES_IMAGES: Packages = Packages {
    what: "programs in the images of Kubernetes' own tests",
    names: &["bind9-dnsutils", "curl", "iproute2", "netcat-openbsd"],
    here: || all_found(&["bash", "curl", "dig", "nc", "ss"]),
};

/// The build tools of the tests' Python components. Debian has the part of Python that makes environments in a package
/// of its own.
pub(crate) const PYTHON: Packages = Packages {
    what: "build tools of the Python components",
    names: &["python3", "python3-venv"],
    here: || {
        let venv = Command::new("python3")
            .args(["-c", "import ensurepip, venv"])
            .output();
        venv.is_ok_and(|output| output.status.success())
    },
};

/// The build tools of the tests' JavaScript component.
pub(crate) const JAVASCRIPT: Packages = Packages {
    what: "build tools of the JavaScript component",
    names: &["nodejs", "npm"],
    here: || all_found(&["node", "npm"]),
};

/// The linter of shell scripts.
pub(crate) const SHELLCHECK: Packages = Packages {
    what: "the linter of shell scripts",
    names: &["shellcheck"],
    here: || all_found(&["shellcheck"]),
};

/// The load generator of `cargo xtask bench`.
pub(crate) const LOAD: Packages = Packages {
    what: "the load generator",
    names: &["wrk"],
    here: || all_found(&["wrk"]),
};

/// Another load generator of `cargo xtask bench`.
pub(crate) const H2LOAD: Packages = Packages {
    what: "another load generator",
    names: &["nghttp2-client"],
    here: || all_found(&["h2load"]),
};

/// The counter of instructions of `cargo xtask bench`.
pub(crate) const INSTRUCTIONS: Packages = Packages {
    what: "the counter of instructions",
    names: &["valgrind"],
    here: || all_found(&["valgrind"]),
};

/// The requirements of the Python app that `cargo xtask bench` measures.
pub(crate) const PYTHON_PEER: Packages = Packages {
    what: "the requirements of the Python app",
    names: &["python3-fastapi", "python3-uvicorn"],
    here: || {
        let import = Command::new("/usr/bin/python3")
            .args(["-c", "import fastapi, uvicorn"])
            .output();
        import.is_ok_and(|output| output.status.success())
    },
};

/// All that the tests need.
const ALL: [&Packages; 9] = [
    &BROWSER,
    &PROXIES,
    &ATTACKS,
    &DISKS,
    &NODE,
    &CLUSTER,
    &PYTHON,
    &JAVASCRIPT,
    &SHELLCHECK,
];

/// Installs all packages whose programs are not here, from whatever source.
pub(crate) fn run() -> Result<()> {
    let mut missing = ALL.iter().filter(|packages| !packages.are_here());
    missing.try_for_each(|packages| packages.install())
}

impl Packages {
    /// Returns their names.
    pub(crate) fn names(&self) -> &'static [&'static str] {
        self.names
    }

    /// Returns whether their programs are here.
    pub(crate) fn are_here(&self) -> bool {
        (self.here)()
    }

    /// Returns why their programs cannot be used here, or nothing if they are here or can be installed.
    pub(crate) fn unavailable(&self) -> Option<String> {
        (!self.are_here() && !can_install()).then(|| self.not_installed())
    }

    /// Installs them.
    pub(crate) fn install(&self) -> Result<()> {
        if !can_install() {
            bail!("this needs root on Debian; run: {}", self.by_hand());
        }
        eprintln!("==> installing {} with apt-get", self.names.join(", "));
        // The lists of packages are updated once in a run.
        static UPDATED: OnceLock<()> = OnceLock::new();
        if UPDATED.get().is_none() {
            self.apt(&["update"])?;
            let _ = UPDATED.set(());
        }
        let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
        arguments.extend(self.names);
        self.apt(&arguments)
    }

    /// Installs them if their programs are missing.
    ///
    /// Fails if that is not possible, or if a program is missing even then.
    pub(crate) fn prepare(&self) -> Result<()> {
        if self.are_here() {
            return Ok(());
        }
        if can_install() {
            self.install()?;
        }
        ensure!(self.are_here(), "{}", self.not_installed());
        Ok(())
    }

    /// Returns the command that installs them, for someone who is not root.
    pub(crate) fn by_hand(&self) -> String {
        format!(
            "sudo apt-get install --no-install-recommends {}",
            self.names.join(" ")
        )
    }

    fn not_installed(&self) -> String {
        format!(
            "{} are not all installed: {}",
            self.names.join(", "),
            self.by_hand()
        )
    }

    fn apt(&self, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new("apt-get");
        command
            .args(["-qq", "-o", "Dpkg::Use-Pty=0"])
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive");
        command::run(command).with_context(|| format!("cannot install {}", self.what))
    }
}

/// Returns the path of nginx.
pub(crate) fn nginx() -> Option<PathBuf> {
    find_with_sbin("nginx")
}

/// Returns the path of HAProxy.
pub(crate) fn haproxy() -> Option<PathBuf> {
    find_with_sbin("haproxy")
}

/// Looks also in a directory that Debian has on root's `PATH` only.
fn find_with_sbin(name: &str) -> Option<PathBuf> {
    let sbin = PathBuf::from("/usr/sbin").join(name);
    find(&[name]).or_else(|| sbin.is_file().then_some(sbin))
}

fn node_is_here() -> bool {
    let seccomp = Command::new("pkg-config")
        .args(["--exists", "libseccomp"])
        .status();
    all_found(&["ip", "iptables", "mkfs.ext4", "unshare"])
        && seccomp.is_ok_and(|status| status.success())
        && busybox().is_some()
}

/// Returns the path of a busybox that runs in an image with nothing else in it.
pub(crate) fn busybox() -> Option<PathBuf> {
    let path = find(&["busybox"])?;
    let bytes = std::fs::read(&path).ok()?;
    // The name of the dynamic loader, which a static program does not contain.
    let dynamic = bytes
        .windows(7)
        .any(|window| window == b"/ld-lin" || window == b"/ld-mus");
    (!dynamic).then_some(path)
}

/// Returns whether the shim can be linked: its one C library is here, or this is not Linux, where there is no shim. The
/// C compiler is the one to ask, because it would be the one to miss the library.
pub(crate) fn shim_links() -> bool {
    const LIBRARY: &str = "libseccomp.so";
    if cfg!(not(target_os = "linux")) {
        return true;
    }
    let path = Command::new("cc")
        .arg(format!("-print-file-name={LIBRARY}"))
        .output();
    // The compiler prints the name alone if it does not find the library.
    path.is_ok_and(|path| String::from_utf8_lossy(&path.stdout).trim() != LIBRARY)
}

/// Installs the shim's C library if it is missing and can be installed.
pub(crate) fn prepare_shim() -> Result<()> {
    if shim_links() {
        return Ok(());
    }
    if can_install() {
        return NODE.install();
    }
    eprintln!(
        "note: the shim is left out, because libseccomp is missing: {}",
        NODE.by_hand()
    );
    Ok(())
}

/// Returns whether packages can be installed here.
pub(crate) fn can_install() -> bool {
    is_root() && find(&["apt-get"]).is_some()
}

/// Returns the path of the browser, if there is one: the one that `CHROMIUM_BIN` names, or the first on the `PATH`.
pub(crate) fn chromium() -> Result<Option<PathBuf>> {
    const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
    if environment::CHROMIUM.get().is_none() {
        return Ok(find(&NAMES));
    }
    environment::CHROMIUM.path().map(Some)
}
