//! The world of a command: the files that this process sees, as this process's user.
//!
//! - `/` is read-only, and each directory in `/` is preopened once more, writable. So a command can change everything that
//!   its user may change, except the entries of `/` itself.
//! - `/proc` and `/sys` stay read-only: through `/proc/self/mem` a command could rewrite the process that runs it.
//! - `.` is the working directory.
//!
//! Paths are resolved by WASI's rules: a symbolic link is followed only if it is relative and stays below its preopened
//! directory.

use super::Invocation;
use std::path::Path;
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder};

/// Where the kernel's file systems show and change processes.
const KERNEL: [&str; 2] = ["/proc", "/sys"];

/// Returns a builder of the world of one invocation.
pub(super) fn builder(invocation: &Invocation) -> WasiCtxBuilder {
    let mut wasi = WasiCtx::builder();
    wasi.inherit_stdio()
        .inherit_network()
        .allow_tcp(true)
        .allow_udp(true)
        .allow_ip_name_lookup(true)
        // Nothing else runs on this thread.
        .allow_blocking_current_thread(true)
        .args(&invocation.arguments);
    for (name, value) in &invocation.environment {
        wasi.env(name, value);
    }
    let mut preopen = |host: &Path, guest: &str, perms| {
        // The command does not see a directory that its user may not open.
        let _ = wasi.preopened_dir(host, guest, perms);
    };
    preopen(Path::new("/"), "/", FsPerms::ReadOnly);
    for entry in std::fs::read_dir("/").into_iter().flatten().flatten() {
        let path = entry.path();
        if let Some(guest) = path.to_str()
            && path.is_dir()
            && !KERNEL.contains(&guest)
        {
            preopen(&path, guest, FsPerms::ReadWrite);
        }
    }
    if let Ok(directory) = std::env::current_dir() {
        preopen(&directory, ".", permissions(&directory));
        wasi.initial_cwd(directory.to_string_lossy());
    }
    wasi
}

/// Returns the permissions of the working directory: the same as by its absolute path.
fn permissions(directory: &Path) -> FsPerms {
    let kernel = KERNEL.iter().any(|root| directory.starts_with(root));
    if kernel || directory == Path::new("/") {
        FsPerms::ReadOnly
    } else {
        FsPerms::ReadWrite
    }
}
