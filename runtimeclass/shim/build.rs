//! Links the shim with libseccomp's archive, where there is one, instead of the shared library: a node then needs no
//! libseccomp, which few nodes have, and whoever tests the shim tests what `cargo xtask dist` packs.

use std::path::{Path, PathBuf};
use std::process::Command;

const ARCHIVE: &str = "libseccomp.a";

fn main() -> std::io::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    let Some(archive) = archive() else {
        return Ok(());
    };
    println!("cargo:rerun-if-changed={}", archive.display());
    // A directory in which a linker finds nothing else: beside the archive lies the shared library, which it prefers.
    let directory = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    let link = directory.join(ARCHIVE);
    if link.symlink_metadata().is_ok() {
        std::fs::remove_file(&link)?;
    }
    #[cfg(unix)]
    std::os::unix::fs::symlink(archive, link)?;
    println!("cargo:rustc-link-search=native={}", directory.display());
    Ok(())
}

/// Where the C compiler would find it.
fn archive() -> Option<PathBuf> {
    let output = Command::new("cc")
        .arg(format!("-print-file-name={ARCHIVE}"))
        .output()
        .ok()?;
    // A file that is not found is printed as it was asked for.
    let path = String::from_utf8(output.stdout).ok()?;
    let path = Path::new(path.trim());
    path.is_absolute().then(|| path.to_owned())
}
