//! `visits-cluster`; the library documents it.

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    return visits_cluster::main();
    #[cfg(not(target_os = "linux"))]
    {
        eprintln!("error: a node needs the namespaces of Linux: run this on Linux");
        ExitCode::FAILURE
    }
}
