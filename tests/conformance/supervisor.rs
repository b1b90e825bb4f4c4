//! containerd, started again whenever it ends, as an init system does: some tests kill it.

use crate::{config, registry};
use anyhow::{Context, Result};
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use visits_support::command::run;
use visits_support::programs::path_with;
use visits_support::wait;

/// The time that containerd may take to start.
const START: Duration = Duration::from_secs(60);

/// The time in which a test can see that containerd is gone.
const PAUSE: Duration = Duration::from_secs(2);

/// Starts containerd and waits until it responds. It runs until the node ends.
pub(crate) fn start(log: &Path) -> Result<()> {
    let file = File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
    std::thread::spawn(move || {
        loop {
            match once(&file) {
                Ok(status) => eprintln!("note: containerd ended: {status}"),
                Err(error) => eprintln!("error: {error:#}"),
            }
            std::thread::sleep(PAUSE);
        }
    });
    wait::retry("containerd responds", START, || {
        let mut version = Command::new(config::binaries().join("ctr"));
        version.args(["--connect-timeout", "5s", "version"]);
        run(version).map(Some)
    })?;
    Ok(())
}

fn once(log: &File) -> Result<std::process::ExitStatus> {
    let mut child = Command::new(config::binaries().join("containerd"))
        .arg("--config")
        .arg(config::file())
        .env("PATH", path_with(&[config::binaries()])?)
        .env(registry::TRUSTED, config::certificate())
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log.try_clone()?)
        .spawn()
        .context("cannot start containerd")?;
    child.wait().context("cannot wait for containerd")
}
