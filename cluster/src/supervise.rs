//! Starts the node's programs, and each again when it ends, as an init system does. What they write goes into files.

use crate::programs::{self, Endpoint, Program};
use crate::root::{PROCESSES, STATE};
use crate::wait;
use anyhow::{Context, Result};
use std::fs::{self, File};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

/// How long a program waits for the one it needs, before it is started all the same and says itself what is wrong.
const NEED: Duration = Duration::from_secs(60);
/// Between a program's end and its next start.
const AGAIN: Duration = Duration::from_millis(500);
/// A log that is larger when its program is started is put aside, in place of the one put aside before.
const LOG_SIZE: u64 = 32 << 20;

/// Runs for as long as the node does.
pub(crate) fn run() -> Result<()> {
    let programs = programs::all()?;
    let threads: Vec<_> = programs
        .into_iter()
        .map(|program| thread::spawn(move || keep(&program)))
        .collect();
    for thread in threads {
        // None ever ends.
        let _ = thread.join();
    }
    Ok(())
}

/// Where the number of a running program's process is, inside; empty between two of them.
pub(crate) fn pid_file(name: &str) -> String {
    format!("{PROCESSES}/{name}")
}

fn keep(program: &Program) {
    loop {
        if let Some(needs) = &program.needs {
            let what = format!("{needs:?}, for {}", program.name);
            if let Err(error) = wait::until(&what, NEED, || Ok(answers(needs).then_some(()))) {
                eprintln!("{error:#}");
            }
        }
        match once(program) {
            Ok(status) => eprintln!("{} has ended: {status}", program.name),
            Err(error) => eprintln!("{}: {error:#}", program.name),
        }
        thread::sleep(AGAIN);
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
        .with_context(|| format!("start {}", program.path.display()))?;
    let file = pid_file(program.name);
    let noted = fs::write(&file, child.id().to_string()).with_context(|| format!("write {file}"));
    let status = child.wait()?;
    noted?;
    fs::write(&file, "").with_context(|| format!("write {file}"))?;
    Ok(status)
}

fn log(name: &str) -> Result<File> {
    let path: PathBuf = Path::new(STATE)
        .join("log")
        .join(name)
        .with_extension("log");
    if fs::metadata(&path).is_ok_and(|log| log.len() > LOG_SIZE) {
        let _ = fs::rename(&path, path.with_extension("log.1"));
    }
    File::options()
        .create(true)
        .append(true)
        .open(&path)
        .with_context(|| format!("open {}", path.display()))
}

fn answers(endpoint: &Endpoint) -> bool {
    match endpoint {
        Endpoint::Tcp(address) => {
            TcpStream::connect_timeout(address, Duration::from_secs(1)).is_ok()
        }
        Endpoint::Unix(path) => UnixStream::connect(path).is_ok(),
    }
}
