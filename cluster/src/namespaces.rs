//! Commands in the namespaces of a process.

use std::ffi::OsStr;
use std::process::Command;

/// Returns a command that runs a program in all namespaces of this process except its user namespace.
pub(crate) fn enter(pid: i32, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("nsenter");
    command
        .arg("--target")
        .arg(pid.to_string())
        // nsenter leaves the program in the root directory, as every process that enters other mounts.
        .args(["--mount", "--net", "--ipc", "--uts", "--pid", "--"])
        .arg(program);
    command
}
