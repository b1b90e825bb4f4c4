//! Delivers exit codes. WASI 0.2.0 knows success and failure, and the C library of this target reduces every code to
//! those. Since 0.2.12, `wasi:cli/exit` has `exit-with-code`. The tools of uutils and their argument parser end the
//! process themselves in places, so the function of the C library that all ends go through is replaced.

/// Ends the process with this exit code.
pub(crate) fn with(code: i32) -> ! {
    std::process::exit(code)
}

/// Takes the place of the C library's function of this name, which `exit` calls last.
// SAFETY: the name, the argument and the meaning are those of C. The linker takes no second definition from the C
// library's archive.
#[cfg(target_family = "wasm")]
#[unsafe(no_mangle)]
extern "C" fn _Exit(code: i32) -> ! {
    // The system keeps the lowest byte of a code, here as on Linux.
    crate::wasi::exit_with_code(code as u8);
    unreachable!("the host does not return from an exit")
}
