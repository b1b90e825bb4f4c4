//! `cargo xtask doc`: builds the documentation of all crates in the workspace.

use crate::{cargo, command, workspace};
use anyhow::Result;

/// Builds the documentation and prints the path of its first page.
pub(crate) fn run() -> Result<()> {
    check()?;
    let page = workspace::target()?.join("doc/visits/index.html");
    println!("{}", workspace::short(&page));
    Ok(())
}

/// Builds the documentation. A warning, such as a broken link, is an error.
pub(crate) fn check() -> Result<()> {
    let mut doc = cargo::native("doc")?;
    doc.arg("--no-deps").env("RUSTDOCFLAGS", "-D warnings");
    command::run(doc)
}
