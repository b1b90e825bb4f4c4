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

/// The WASI command that does what its arguments name.
pub fn command_wasm() -> Result<PathBuf> {
    named_by("COMMAND_WASM")
}

/// The least a component can do.
pub fn hello_wasm() -> Result<PathBuf> {
    named_by("HELLO_WASM")
}

/// The component of tests/guests/sdks with this name.
pub fn sdk_wasm(name: &str) -> Result<PathBuf> {
    let path = set("SDKS_DIR")?.join(name).with_extension("wasm");
    ensure!(
        path.is_file(),
        "{} was not built: run `cargo xtask sdks`, which reports why",
        path.display()
    );
    Ok(path)
}

/// The conformance tests for servers of HTTP/2.
pub fn h2spec() -> Result<PathBuf> {
    named_by("H2SPEC_BIN")
}

/// The reverse proxy nginx.
pub fn nginx() -> Result<PathBuf> {
    named_by("NGINX_BIN")
}

/// The reverse proxy HAProxy.
pub fn haproxy() -> Result<PathBuf> {
    named_by("HAPROXY_BIN")
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

/// A WASI command of preview 1, byte by byte likewise: it writes this text to stdout and ends with this code.
pub fn core_command(text: &str, code: u8) -> Vec<u8> {
    let name = |name: &str| [&[name.len() as u8], name.as_bytes()].concat();
    let section = |id: u8, content: &[u8]| [&[id, content.len() as u8], content].concat();
    let import = |function: &str, kind: u8| {
        let module = name("wasi_snapshot_preview1");
        [module, name(function), vec![0, kind]].concat()
    };
    let i32_const = |number: u8| [0x41, 0x80 | number & 0x7f, number >> 7];
    // The types of fd_write, of proc_exit and of _start.
    let types = [
        &[3, 0x60, 4, 0x7f, 0x7f, 0x7f, 0x7f, 1, 0x7f][..],
        &[0x60, 1, 0x7f, 0, 0x60, 0, 0],
    ];
    let imports = [vec![2], import("fd_write", 0), import("proc_exit", 1)];
    let exports = [
        vec![2],
        name("memory"),
        vec![2, 0],
        name("_start"),
        vec![0, 2],
    ];
    // fd_write(1, the one piece at 0, 1, how much was written to 8); drop; proc_exit(code)
    let body = [
        &[0][..],
        &[1, 0, 1, 8].map(i32_const).concat(),
        &[0x10, 0, 0x1a],
        &i32_const(code),
        &[0x10, 1, 0x0b],
    ]
    .concat();
    // The piece: its address, its length; then what is written to, and the text at 16.
    let piece = [16, text.len() as u32, 0, 0].map(u32::to_le_bytes).concat();
    let memory = [piece.as_slice(), text.as_bytes()].concat();
    [
        b"\0asm\x01\0\0\0".to_vec(),
        section(1, &types.concat()),
        section(2, &imports.concat()),
        section(3, &[1, 2]),
        section(5, &[1, 0, 1]),
        section(7, &exports.concat()),
        section(10, &[&[1, body.len() as u8], body.as_slice()].concat()),
        section(
            11,
            &[
                &[1, 0, 0x41, 0, 0x0b, memory.len() as u8],
                memory.as_slice(),
            ]
            .concat(),
        ),
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
