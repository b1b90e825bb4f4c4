//! The command `preopen`. Its code is in `preopen_host::cli`.

use std::process::ExitCode;

/// A request is allocated on one thread and freed on another. glibc's allocator then grows and shrinks its arenas, with a
/// system call for almost every request.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // With huge pages the host takes three times the memory, because its threads touch little of each page. The
    // allocator requests none (its feature `no_thp`), but the kernel may give some unasked. An error means that the
    // kernel has no such setting.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    preopen_host::cli::main()
}
