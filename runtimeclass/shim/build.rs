//! Finds the packed toolbox for the shim: the file that `PREOPEN_TOOLBOX` names. `cargo xtask` sets that variable. Without it
//! the toolbox is an empty file, so that a plain `cargo check` needs no toolbox.
//!
//! Links the shim with libseccomp's static library if it exists, instead of the shared one. A node then needs no libseccomp,
//! which few nodes have, and the tests run the same binary that `cargo xtask dist` packs.

use std::path::{Path, PathBuf};
use std::process::Command;

const ARCHIVE: &str = "libseccomp.a";
/// The environment variable that names the packed toolbox.
const TOOLBOX: &str = "PREOPEN_TOOLBOX";

fn main() -> std::io::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    toolbox()?;
    let Some(archive) = archive() else {
        return Ok(());
    };
    println!("cargo:rerun-if-changed={}", archive.display());
    // A directory with the static library only: the linker would prefer the shared one, which lies beside it.
    let directory = output();
    let link = directory.join(ARCHIVE);
    if link.symlink_metadata().is_ok() {
        std::fs::remove_file(&link)?;
    }
    #[cfg(unix)]
    std::os::unix::fs::symlink(archive, link)?;
    println!("cargo:rustc-link-search=native={}", directory.display());
    Ok(())
}

/// Passes the path of the packed toolbox to the crate, in a variable of the same name.
fn toolbox() -> std::io::Result<()> {
    println!("cargo:rerun-if-env-changed={TOOLBOX}");
    let packed = match std::env::var_os(TOOLBOX).filter(|path| !path.is_empty()) {
        Some(path) => {
            println!("cargo:rerun-if-changed={}", path.display());
            PathBuf::from(path)
        }
        None => {
            let empty = output().join("no-toolbox");
            std::fs::write(&empty, "")?;
            empty
        }
    };
    println!("cargo:rustc-env={TOOLBOX}={}", packed.display());
    Ok(())
}

/// Returns the directory in which this script may write.
fn output() -> PathBuf {
    PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default())
}

/// Returns the path at which the C compiler finds libseccomp's static library.
fn archive() -> Option<PathBuf> {
    let output = Command::new("cc")
        .arg(format!("-print-file-name={ARCHIVE}"))
        .output()
        .ok()?;
    // The compiler prints the bare name if it does not find the file.
    let path = String::from_utf8(output.stdout).ok()?;
    let path = Path::new(path.trim());
    path.is_absolute().then(|| path.to_owned())
}
