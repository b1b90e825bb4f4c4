//! The command `preopen`: see `preopen_host::cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    preopen_host::cli::main()
}
