//! Where things are: the repository, cargo's target directory, and what the builds leave there.

use anyhow::{Context, Result};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The profile that the guests are built with (see Cargo.toml).
pub(crate) const GUEST_PROFILE: &str = "release-wasm";
/// The profile of the toolbox (see Cargo.toml).
pub(crate) const TOOLBOX_PROFILE: &str = "toolbox";
/// The target that the guests are built for.
pub(crate) const GUEST_TARGET: &str = "wasm32-wasip2";

/// The top of the repository: the directory above this crate's.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate lies in the repository")
        .to_owned()
}

/// Cargo's target directory: `CARGO_TARGET_DIR`, relative to the current directory, else `target`.
pub(crate) fn target() -> Result<PathBuf> {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(directory) => std::path::absolute(&directory)
            .with_context(|| format!("CARGO_TARGET_DIR={}", directory.display())),
        None => Ok(root().join("target")),
    }
}

/// The built host command.
pub(crate) fn preopen() -> Result<PathBuf> {
    Ok(target()?.join("release/preopen"))
}

/// The built shim.
pub(crate) fn shim() -> Result<PathBuf> {
    Ok(target()?.join("release/containerd-shim-preopen-v1"))
}

/// The built toolbox, a component.
pub(crate) fn toolbox() -> Result<PathBuf> {
    let directory = target()?.join(GUEST_TARGET).join(TOOLBOX_PROFILE);
    Ok(directory.join("toolbox.wasm"))
}

/// The toolbox's machine code, packed for the shim.
pub(crate) fn packed_toolbox() -> Result<PathBuf> {
    Ok(target()?.join("toolbox.xz"))
}

/// The built program that keeps a cluster.
pub(crate) fn cluster() -> Result<PathBuf> {
    Ok(target()?.join("release/visits-cluster"))
}

/// Where the counter's images are written.
pub(crate) fn images() -> Result<PathBuf> {
    Ok(target()?.join("image"))
}

/// Where what is released for nodes is written.
pub(crate) fn dist() -> Result<PathBuf> {
    Ok(target()?.join("dist"))
}

/// The built component of this package.
pub(crate) fn guest(package: &str) -> Result<PathBuf> {
    let directory = target()?.join(GUEST_TARGET).join(GUEST_PROFILE);
    Ok(directory.join(package).with_extension("wasm"))
}

/// The directory of the components of other SDKs.
pub(crate) fn sdks() -> Result<PathBuf> {
    Ok(target()?.join("sdks"))
}

/// The first of these programs that is on the `PATH`, with its directory.
pub(crate) fn program(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let find = |name: &&str| {
        std::env::split_paths(&path)
            .map(|directory| directory.join(name))
            .find(|candidate| candidate.is_file())
    };
    names.iter().find_map(find)
}

/// Whether this is root on Linux, who may mount volumes and install packages.
pub(crate) fn is_root() -> bool {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::MetadataExt;
        // The owner of /proc/self is the effective user, asked without unsafe code or a crate for it.
        std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
    }
    #[cfg(not(target_os = "linux"))]
    false
}

/// Copies a file so that a reader sees the old one or the new one, whole, never a part.
pub(crate) fn copy_atomically(from: &Path, to: &Path) -> Result<()> {
    let name = to.file_name().unwrap_or(OsStr::new("copy"));
    let partial = to.with_file_name(format!(
        ".{}-{}",
        name.to_string_lossy(),
        std::process::id()
    ));
    let copied = std::fs::copy(from, &partial).and_then(|_| std::fs::rename(&partial, to));
    if copied.is_err() {
        // Best effort: the copy's own error is the one to tell.
        let _ = std::fs::remove_file(&partial);
    }
    copied.with_context(|| format!("copy {} to {}", from.display(), to.display()))
}

/// Whether this file is there and was written after these.
pub(crate) fn is_newer(file: &Path, than: &[&Path]) -> bool {
    let modified = |path: &Path| path.metadata().and_then(|file| file.modified()).ok();
    let Some(written) = modified(file) else {
        return false;
    };
    than.iter()
        .all(|other| modified(other).is_some_and(|other| other < written))
}

/// A path as people read it: below the repository's top, without the way there.
pub(crate) fn short(path: &Path) -> String {
    let root = root();
    path.strip_prefix(&root)
        .unwrap_or(path)
        .display()
        .to_string()
}
