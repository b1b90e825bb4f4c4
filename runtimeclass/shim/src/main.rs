//! `containerd-shim-preopen-v1`: see the library's documentation.

/// The one of the command `preopen`, for the same reason: the host runs in this binary too.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    preopen_shim::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> std::process::ExitCode {
    eprintln!("error: containerd-shim-preopen-v1 runs containers, which only Linux has");
    std::process::ExitCode::FAILURE
}
