//! The programs of a Kubernetes node, built from pinned Go modules: a containerd of one known version on every machine,
//! without a download of anything that somebody else has built.
//!
//! They are kept outside of the repository, under the content of what they are built from: every clone on a machine
//! shares them, and a change of a version builds anew beside what is there.

use crate::{cargo, workspace};
use anyhow::{Context, Result, bail};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The modules, each with its `tool` lines, below the repository's top. crictl is one of its own, for it wants other
/// versions of the same packages than containerd does.
const MODULES: [&str; 2] = ["tests/containerd/go/node", "tests/containerd/go/crictl"];

/// What is given to every build. Without the tag, runc refuses a pod's default system call filter; without symbols the
/// whole takes half of the space.
const FLAGS: [&str; 5] = ["-trimpath", "-tags", "seccomp", "-ldflags", "-s -w"];

/// The page with releases of Go.
pub(crate) const DOWNLOADS: &str = "https://go.dev/dl";

/// Why the modules cannot be built here, if they cannot: there is no Go, or it is too old.
pub(crate) fn missing() -> Option<String> {
    version().err().map(|error| format!("{error:#}"))
}

/// Builds what is not there already; the directory of all programs.
pub(crate) fn build() -> Result<PathBuf> {
    let directory = cache()?.join("go").join(key()?);
    if directory.is_dir() {
        return Ok(directory);
    }
    eprintln!(
        "building {}: some five minutes the first time",
        MODULES.join(" and ")
    );
    let partial = directory.with_extension(std::process::id().to_string());
    std::fs::create_dir_all(&partial).with_context(|| format!("make {}", partial.display()))?;
    let built = MODULES.iter().try_for_each(|module| {
        let mut build = go(module);
        build
            .arg("build")
            .args(FLAGS)
            .arg("-o")
            .arg(&partial)
            .arg("tool");
        cargo::run(build).with_context(|| module.to_string())
    });
    // Whole or absent. That another run was faster is as good.
    let placed = built.and_then(|()| match std::fs::rename(&partial, &directory) {
        Err(error) if !directory.is_dir() => {
            Err(error).with_context(|| format!("rename to {}", directory.display()))
        }
        _ => Ok(()),
    });
    let _ = std::fs::remove_dir_all(&partial);
    placed.map(|()| directory)
}

/// What is kept for every clone on this machine.
pub(crate) fn cache() -> Result<PathBuf> {
    let absolute = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let caches = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
    Ok(caches
        .context("neither XDG_CACHE_HOME nor HOME says where to keep what is built")?
        .join("visits"))
}

/// A name for everything that the result depends on. A new Rust may give another, which costs a build.
fn key() -> Result<String> {
    let mut hasher = DefaultHasher::new();
    (FLAGS, version()?).hash(&mut hasher);
    for module in MODULES {
        for file in ["go.mod", "go.sum"] {
            let path = workspace::root().join(module).join(file);
            std::fs::read(&path)
                .with_context(|| path.display().to_string())?
                .hash(&mut hasher);
        }
    }
    Ok(format!("{:016x}", hasher.finish()))
}

/// The Go that builds the modules. One that is too old says so, or fetches a newer one, as it is set up to.
fn version() -> Result<String> {
    if workspace::program(&["go"]).is_none() {
        bail!("there is no Go: install it from {DOWNLOADS}");
    }
    let mut versions = String::new();
    for module in MODULES {
        let output = go(module).arg("version").output().context("run go")?;
        if !output.status.success() {
            let error = String::from_utf8_lossy(&output.stderr);
            bail!("{}: install a newer one from {DOWNLOADS}", error.trim());
        }
        versions += &String::from_utf8_lossy(&output.stdout);
    }
    Ok(versions)
}

fn go(module: &str) -> Command {
    let mut go = Command::new("go");
    go.current_dir(Path::new(&workspace::root()).join(module));
    // What is set for other projects on this machine must not change what is built.
    go.env("GOFLAGS", "")
        .env("GOWORK", "off")
        .env("CGO_ENABLED", "1");
    go
}
