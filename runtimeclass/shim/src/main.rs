//! `containerd-shim-preopen-v1`: see the library's documentation.

/// The allocator of the command `preopen`: the same host runs in this binary.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    preopen_shim::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> std::process::ExitCode {
    eprintln!(
        "error: cannot run containers on this system: containerd-shim-preopen-v1 needs Linux"
    );
    std::process::ExitCode::FAILURE
}
