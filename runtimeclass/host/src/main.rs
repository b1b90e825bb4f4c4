//! The command `preopen`. Its code is in `preopen_host::cli`.

use std::process::ExitCode;

/// A request is allocated on one thread and freed on another. glibc's allocator then grows and shrinks its arenas, with a
/// system call for almost every request.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    preopen_host::cli::main()
}
