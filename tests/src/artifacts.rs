//! What the tests run: where the built host, shim, components and the programs of a node are, and a component made by
//! hand. `cargo xtask test` builds them and names them in environment variables, so that `cargo test` alone never runs
//! against a stale build without saying so.

use anyhow::{Context, Result, ensure};
use std::path::PathBuf;

/// The host command.
pub fn preopen() -> Result<PathBuf> {
    named_by("PREOPEN_BIN")
}

/// The counter.
pub fn visits_wasm() -> Result<PathBuf> {
    named_by("VISITS_WASM")
}

/// The component that misbehaves on request.
pub fn probe_wasm() -> Result<PathBuf> {
    named_by("PROBE_WASM")
}

/// The least a component can do.
pub fn hello_wasm() -> Result<PathBuf> {
    named_by("HELLO_WASM")
}

/// The shim.
pub fn shim() -> Result<PathBuf> {
    named_by("SHIM_BIN")
}

/// A busybox that needs no library.
pub fn busybox() -> Result<PathBuf> {
    named_by("BUSYBOX_BIN")
}

/// A program of the node: containerd, ctr, runc, crictl or a network plugin.
pub fn node_binary(name: &str) -> Result<PathBuf> {
    Ok(node_binaries()?.join(name))
}

/// The directory of all of them.
pub fn node_binaries() -> Result<PathBuf> {
    let directory = set("NODE_BIN_DIR")?;
    ensure!(
        directory.is_dir(),
        "NODE_BIN_DIR={} is not a directory: run `cargo xtask test`",
        directory.display()
    );
    Ok(directory)
}

/// The kubectl of the cluster's version.
pub fn kubectl() -> Result<PathBuf> {
    named_by("KUBECTL_BIN")
}

/// A component, byte by byte for want of an assembler, that imports an instance with one function and exports an
/// empty instance.
pub fn component_importing(import: &str, export: &str) -> Vec<u8> {
    let name = |name: &str| [&[0, name.len() as u8], name.as_bytes()].concat();
    let section = |id: u8, content: &[u8]| [&[id, content.len() as u8], content].concat();
    // The type of a function `open` that takes and gives nothing, and its place in the type of the instance.
    let function = [&[1, 0x40, 0, 1, 0, 4], name("open").as_slice(), &[1, 0]].concat();
    [
        b"\0asm\x0d\0\x01\0".to_vec(),
        section(7, &[&[1, 0x42, 2], function.as_slice()].concat()),
        section(10, &[&[1], name(import).as_slice(), &[5, 0]].concat()),
        section(5, &[1, 1, 0]),
        section(11, &[&[1], name(export).as_slice(), &[5, 1, 0]].concat()),
    ]
    .concat()
}

fn named_by(variable: &str) -> Result<PathBuf> {
    let path = set(variable)?;
    ensure!(
        path.is_absolute() && path.is_file(),
        "{variable}={} is not an absolute path to a file: run `cargo xtask test`",
        path.display()
    );
    Ok(path)
}

fn set(variable: &str) -> Result<PathBuf> {
    std::env::var_os(variable)
        .map(PathBuf::from)
        .with_context(|| {
            format!("{variable} is not set: run `cargo xtask test`, which builds it and sets it")
        })
}
