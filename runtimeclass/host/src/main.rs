//! The command `preopen`: see `preopen_host::cli`.

use std::process::ExitCode;

/// Requests are made on one thread and dropped on another, which glibc's allocator answers by growing and shrinking
/// its arenas, a system call for almost every request.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    preopen_host::cli::main()
}
