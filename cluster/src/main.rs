//! `visits-cluster`: see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    return visits_cluster::main();
    #[cfg(not(target_os = "linux"))]
    {
        eprintln!("error: a node's namespaces are a thing of Linux");
        ExitCode::FAILURE
    }
}
