//! Exit codes. WASI 0.2.0 has only success and failure, and this target's C library reduces every code to those two.
//! `wasi:cli/exit` has `exit-with-code` since 0.2.12. Some tools of uutils and their argument parser end the process
//! themselves, so this replaces the function of the C library that every exit calls.

/// Ends the process with this exit code.
pub(crate) fn with(code: i32) -> ! {
    std::process::exit(code)
}

/// Replaces the C library's function of this name, which `exit` calls last.
// SAFETY: the name, the signature and the meaning are those of C. With this definition the linker does not take the one in
// the C library's archive.
#[cfg(target_family = "wasm")]
#[unsafe(no_mangle)]
extern "C" fn _Exit(code: i32) -> ! {
    // Only the lowest byte of a code is kept, as on Linux.
    crate::wasi::exit_with_code(code as u8);
    unreachable!("the host does not return from an exit")
}
