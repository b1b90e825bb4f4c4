//! Starts the node's programs, and restarts each one when it ends, as an init system does. Their output goes to log files.

use crate::paths::{STATE, pid_file};
use crate::programs::{self, Endpoint, Program};
use anyhow::{Context, Result};
use std::fs::{self, File};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;
use visits_support::wait;

/// How long a program waits for each one that it depends on. After that it is started anyway, and its own log shows the error.
const DEPENDENCY: Duration = Duration::from_secs(60);
/// The pause between a program's end and its next start.
const PAUSE: Duration = Duration::from_millis(500);
/// The size in bytes from which a log is renamed, over the previous one, when its program starts.
const MAX_LOG: u64 = 32 << 20;

/// Runs until the node ends.
pub(crate) fn run() -> Result<()> {
    let programs = programs::all()?;
    let threads: Vec<_> = programs
        .into_iter()
        .map(|program| thread::spawn(move || keep(&program)))
        .collect();
    for thread in threads {
        // No thread ever ends.
        let _ = thread.join();
    }
    Ok(())
}

fn keep(program: &Program) {
    loop {
        for needed in &program.needs {
            let what = format!("{needed:?}, which {} depends on", program.name);
            let accepts = || Ok(accepts(needed).then_some(()));
            if let Err(error) = wait::until(&what, DEPENDENCY, accepts) {
                eprintln!("{error:#}");
            }
        }
        match once(program) {
            Ok(status) => eprintln!("{} ended: {status}", program.name),
            Err(error) => eprintln!("{}: {error:#}", program.name),
        }
        thread::sleep(PAUSE);
    }
}

fn once(program: &Program) -> Result<std::process::ExitStatus> {
    let log = log(program.name)?;
    let mut child = Command::new(&program.path)
        .args(&program.arguments)
        .envs(program.environment.iter().cloned())
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("cannot start {}", program.path.display()))?;
    let file = pid_file(program.name);
    let recorded =
        fs::write(&file, child.id().to_string()).with_context(|| format!("cannot write {file}"));
    let status = child.wait()?;
    recorded?;
    fs::write(&file, "").with_context(|| format!("cannot write {file}"))?;
    Ok(status)
}

fn log(name: &str) -> Result<File> {
    let path: PathBuf = Path::new(STATE)
        .join("log")
        .join(name)
        .with_extension("log");
    if fs::metadata(&path).is_ok_and(|log| log.len() > MAX_LOG) {
        let _ = fs::rename(&path, path.with_extension("log.1"));
    }
    File::options()
        .create(true)
        .append(true)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))
}

/// Returns whether an endpoint accepts connections.
fn accepts(endpoint: &Endpoint) -> bool {
    match endpoint {
        Endpoint::Tcp(address) => {
            TcpStream::connect_timeout(address, Duration::from_secs(1)).is_ok()
        }
        Endpoint::Unix(path) => UnixStream::connect(path).is_ok(),
    }
}
