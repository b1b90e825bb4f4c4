//! Three images for the pods of a cluster: the counter on our runtime, and under runc the same component on `wasmtime serve`
//! and the native server.

use super::Peer;
use crate::cluster::Stage;
use crate::pod::Template;
use anyhow::{Context, Result};
use oci_writer::{Image, Platform};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;
use visits_support::{command, environment};
use visits_tests::app::GUEST_VOLUME;
use visits_tests::artifacts;

/// The manifest in the image of a component.
const MANIFEST: &str = include_str!("../../../spin.toml");

/// The component in an image.
const COMPONENT: &str = "/app/visits.wasm";

/// Returns the three pods.
pub(super) fn all() -> [Peer; 3] {
    let stage = Rc::new(Stage::default());
    let template = |runtime_class, fill| Template {
        stage: stage.clone(),
        runtime_class,
        fill,
    };
    [
        Peer::pod(
            "pod-visits",
            "pod: preopen, visits",
            template(Some("preopen"), preopen),
        ),
        Peer::pod(
            "pod-wasmtime-visits",
            "pod: runc, wasmtime serve, visits",
            template(None, wasmtime),
        ),
        Peer::pod(
            "pod-native-visits",
            "pod: runc, native, same protocol",
            template(None, native),
        ),
    ]
}

fn preopen(image: Image, listen: SocketAddr) -> Result<Image> {
    Ok(image
        .file("/app/spin.toml", MANIFEST, 0o644)
        .file(COMPONENT, read(&artifacts::visits_wasm()?)?, 0o644)
        .entrypoint(["/app/spin.toml", "--listen", &listen.to_string()])
        .working_directory("/app"))
}

fn wasmtime(image: Image, listen: SocketAddr) -> Result<Image> {
    let image = image.file(COMPONENT, read(&artifacts::visits_wasm()?)?, 0o644);
    let listen = listen.to_string();
    let directory = format!("{GUEST_VOLUME}::{GUEST_VOLUME}");
    let arguments = [
        "serve", "-Scli", "--dir", &directory, "--addr", &listen, COMPONENT,
    ];
    program(image, &environment::WASMTIME.path()?, &arguments)
}

fn native(image: Image, listen: SocketAddr) -> Result<Image> {
    let arguments = ["visits", &listen.to_string(), GUEST_VOLUME];
    program(image, &environment::NATIVE_PEER.path()?, &arguments)
}

/// Adds a program of this machine, with the loader and the libraries that it needs, as what the image runs.
fn program(image: Image, program: &Path, arguments: &[&str]) -> Result<Image> {
    const PROGRAM: &str = "/bin/server";
    let platform = Platform::here().context("images have no name for this processor")?;
    let mut ldd = Command::new("ldd");
    ldd.arg(program);
    let libraries = command::run(ldd)?;
    let mut image = image
        .platform(platform)
        .file(PROGRAM, read(program)?, 0o755)
        .entrypoint([PROGRAM].iter().chain(arguments).copied());
    for path in files(&libraries) {
        image = image.file(path, read(Path::new(path))?, 0o755);
    }
    Ok(image)
}

/// Returns the files that `ldd` lists: `NAME => PATH (ADDRESS)`, or `PATH (ADDRESS)` for the loader. The kernel's own
/// library has no path.
fn files(libraries: &str) -> impl Iterator<Item = &str> {
    let words = libraries.lines().map(|line| line.split_whitespace());
    words.filter_map(|mut words| words.find(|word| word.starts_with('/')))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loader_and_the_libraries_are_those_with_a_path() {
        let libraries = "\tlinux-vdso.so.1 (0x00007fc5)\n\
                         \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007fc4)\n\
                         \t/lib64/ld-linux-x86-64.so.2 (0x00007fc6)\n";
        let expected = [
            "/lib/x86_64-linux-gnu/libc.so.6",
            "/lib64/ld-linux-x86-64.so.2",
        ];
        assert!(files(libraries).eq(expected));
    }
}
