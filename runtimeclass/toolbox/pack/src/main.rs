//! Packs the toolbox for the shim: compiles the component and compresses the machine code with xz. The code is for the
//! oldest processor of an architecture, so that every node can load it without compiling. The same component gives the
//! same bytes.
//!
//! The shim unpacks the code once per node. xz with the filter for machine code gave the smallest file measured (3.1 MB of
//! 11.5; zstd -19: 3.4), unpacks in a quarter of a second, and its crate is pure Rust.

#[cfg(test)]
mod tests;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use lzma_rust2::{FilterType, XzOptions, XzReader, XzWriter};
use preopen_host::engine::{Compiler, Engine};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Compile a component ahead of time and pack its machine code.
#[derive(Parser)]
struct Options {
    /// Component to compile
    wasm: PathBuf,
    /// File to write the packed machine code to
    output: PathBuf,
}

/// Returns the compilation target: Linux on this machine's architecture.
fn target() -> String {
    format!("{}-unknown-linux-gnu", std::env::consts::ARCH)
}

fn run(options: &Options) -> Result<()> {
    let wasm = std::fs::read(&options.wasm)
        .with_context(|| format!("cannot read {}", options.wasm.display()))?;
    let code = compile(&wasm)?;
    let packed = pack(&code, std::env::consts::ARCH)?;
    let start = Instant::now();
    ensure!(
        unpack(&packed)? == code,
        "the packed code does not unpack to the same bytes"
    );
    eprintln!(
        "{}: {} bytes of wasm, {} of machine code, {} packed, unpacked in {} ms",
        options.output.display(),
        wasm.len(),
        code.len(),
        packed.len(),
        start.elapsed().as_millis()
    );
    write(&options.output, &packed)
        .with_context(|| format!("cannot write {}", options.output.display()))
}

/// Compiles a component, and loads the code into an engine like the shim's: a failure there would be too late.
fn compile(wasm: &[u8]) -> Result<Vec<u8>> {
    let code = Compiler::for_target(&target())?.compile(wasm)?;
    // There is a shim only on Linux.
    if cfg!(target_os = "linux") {
        Engine::new()?.check(&code).context("the shim would fail")?;
    }
    Ok(code.into_bytes())
}

/// Compresses machine code.
fn pack(code: &[u8], architecture: &str) -> Result<Vec<u8>> {
    let mut options = XzOptions::with_preset(9);
    // A dictionary larger than the code finds nothing more and costs memory when unpacking.
    let whole = u32::try_from(code.len()).context("the code is larger than 4 GiB")?;
    options.lzma_options.dict_size = whole.next_power_of_two().max(1 << 16);
    if let Some(filter) = filter(architecture) {
        options.prepend_pre_filter(filter, 0);
    }
    let mut writer = XzWriter::new(Vec::new(), options)?;
    writer.write_all(code)?;
    Ok(writer.finish()?)
}

/// Returns the filter that makes call addresses absolute, so that all calls of a function are the same bytes.
fn filter(architecture: &str) -> Option<FilterType> {
    match architecture {
        "x86_64" => Some(FilterType::BcjX86),
        "aarch64" => Some(FilterType::BcjArm64),
        _ => None,
    }
}

/// Decompresses machine code as the shim does.
fn unpack(packed: &[u8]) -> Result<Vec<u8>> {
    let mut code = Vec::new();
    XzReader::new(packed, false).read_to_end(&mut code)?;
    Ok(code)
}

/// Replaces a file atomically. Leaves a file with the same bytes untouched, so that what includes it is not built again.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if std::fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    let directory = path.parent().filter(|parent| *parent != Path::new(""));
    let mut file = tempfile::Builder::new()
        .permissions(std::fs::Permissions::from_mode(0o644))
        .tempfile_in(directory.unwrap_or(Path::new(".")))?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}

fn main() -> Result<()> {
    run(&Options::parse())
}
