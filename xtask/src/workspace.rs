//! Paths: the repository, cargo's target directory, and what the builds leave there.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// The profile of native builds (see Cargo.toml), which also names their directory below the target directory.
pub(crate) const PROFILE: &str = "local";
/// The profile of programs that are released.
pub(crate) const RELEASE_PROFILE: &str = "release";
/// The profile of the guests (see Cargo.toml).
pub(crate) const GUEST_PROFILE: &str = "release-wasm";
/// The profile of the toolbox (see Cargo.toml).
pub(crate) const TOOLBOX_PROFILE: &str = "toolbox";
/// The target that the guests are built for.
pub(crate) const GUEST_TARGET: &str = "wasm32-wasip2";

/// Returns the top of the repository, which is the directory above this crate's.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate lies in the repository")
        .to_owned()
}

/// Returns cargo's target directory: `CARGO_TARGET_DIR`, relative to the current directory, or `target`.
pub(crate) fn target() -> Result<PathBuf> {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(directory) => std::path::absolute(&directory)
            .with_context(|| format!("CARGO_TARGET_DIR={}", directory.display())),
        None => Ok(root().join("target")),
    }
}

/// Returns the path of a native program that was built with [`PROFILE`].
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    Ok(target()?.join(PROFILE).join(name))
}

/// Returns the path of the host command.
pub(crate) fn preopen() -> Result<PathBuf> {
    program("preopen")
}

/// Returns the path of the shim.
pub(crate) fn shim() -> Result<PathBuf> {
    program("containerd-shim-preopen-v1")
}

/// Returns the path of the cluster tool.
pub(crate) fn cluster() -> Result<PathBuf> {
    program("visits-cluster")
}

/// Returns the path of the toolbox, a component.
pub(crate) fn toolbox() -> Result<PathBuf> {
    let directory = target()?.join(GUEST_TARGET).join(TOOLBOX_PROFILE);
    Ok(directory.join("toolbox.wasm"))
}

/// Returns the path of the toolbox's machine code, packed for the shim.
pub(crate) fn packed_toolbox() -> Result<PathBuf> {
    Ok(target()?.join("toolbox.xz"))
}

/// Returns the directory of the counter's images.
pub(crate) fn images() -> Result<PathBuf> {
    Ok(target()?.join("image"))
}

/// Returns the directory of what is released for nodes.
pub(crate) fn dist() -> Result<PathBuf> {
    Ok(target()?.join("dist"))
}

/// Returns the path of the component that is built from this package.
pub(crate) fn guest(package: &str) -> Result<PathBuf> {
    let directory = target()?.join(GUEST_TARGET).join(GUEST_PROFILE);
    Ok(directory.join(package).with_extension("wasm"))
}

/// Returns the directory of the components of other SDKs.
pub(crate) fn sdks() -> Result<PathBuf> {
    Ok(target()?.join("sdks"))
}

/// Returns whether a file exists and was written after the others.
pub(crate) fn is_newer(file: &Path, than: &[&Path]) -> bool {
    let modified = |path: &Path| path.metadata().and_then(|file| file.modified()).ok();
    let Some(written) = modified(file) else {
        return false;
    };
    than.iter()
        .all(|other| modified(other).is_some_and(|other| other < written))
}

/// Returns a path for people to read: relative to the repository's top if it is below it.
pub(crate) fn short(path: &Path) -> String {
    let root = root();
    path.strip_prefix(&root)
        .unwrap_or(path)
        .display()
        .to_string()
}
