//! One containerd for all tests of the suite, with its own everything (see tests/contained).
//!
//! A test holds the node shared while it runs. One that breaks containerd itself holds it alone, so that the others
//! wait instead of failing.

mod config;

pub(crate) use config::crictl;

use crate::{cri, ctr, images, network};
use anyhow::{Context, Result, anyhow, ensure};
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::sync::{OnceCell, RwLock, RwLockReadGuard, RwLockWriteGuard};
use visits_tests::{artifacts, wait};

/// A variable in containerd's own environment, which no container may ever see.
pub(crate) const PLANTED: (&str, &str) = ("PLANTED_SECRET", "the-secret-of-the-node");

/// Where this suite keeps what is its own.
pub(crate) const DIRECTORY: &str = "/run/visits";

/// How long containerd may take to start.
const START: Duration = Duration::from_secs(60);

/// The shared one. Never dropped: it ends with the namespaces that it is in.
static NODE: OnceCell<RwLock<Node>> = OnceCell::const_new();

/// A running containerd.
pub(crate) struct Node {
    containerd: Child,
    log: PathBuf,
}

impl Node {
    /// The node, beside other tests.
    pub(crate) async fn shared() -> Result<RwLockReadGuard<'static, Node>> {
        Ok(node().await?.read().await)
    }

    /// The node, with no other test on it.
    pub(crate) async fn alone() -> Result<RwLockWriteGuard<'static, Node>> {
        Ok(node().await?.write().await)
    }

    /// The cgroup that is to hold all containers of this run, as a path in each hierarchy.
    pub(crate) fn cgroup() -> Result<String> {
        let name = std::env::var("CONTAINERD_TEST_CGROUP")
            .context("CONTAINERD_TEST_CGROUP is not set: run `cargo xtask test containerd`")?;
        Ok(format!("/{name}"))
    }

    /// Kills containerd as a crash would, and its containers live on.
    pub(crate) fn kill9(&mut self) -> Result<()> {
        self.containerd.kill().context("kill containerd")?;
        self.containerd
            .wait()
            .context("wait for the end of containerd")?;
        Ok(())
    }

    /// Starts it again.
    pub(crate) async fn start_again(&mut self) -> Result<()> {
        self.containerd = spawn(&self.log)?;
        self.ready().await
    }

    /// Everything that containerd and the shims have logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_else(|error| format!("(no log: {error})"))
    }

    /// An error that carries the end of the log.
    pub(crate) fn failed(&self, what: &str) -> anyhow::Error {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines[lines.len().saturating_sub(40)..].join("\n");
        let path = self.log.display();
        anyhow!("{what}\n--- the end of containerd's log, {path} ---\n{last}\n---")
    }

    async fn ready(&mut self) -> Result<()> {
        let answers = wait::until("containerd answers", START, async || {
            if let Some(status) = self.containerd.try_wait()? {
                return Err(self.failed(&format!("containerd has ended: {status}")));
            }
            if ctr::run(["version"]).await.is_err() {
                return Ok(None);
            }
            // What serves Kubernetes takes a moment more, to recover the pods.
            Ok(cri::answers().await.ok())
        });
        answers.await.map(drop)
    }
}

async fn node() -> Result<&'static RwLock<Node>> {
    NODE.get_or_try_init(async || {
        let log = log_file()?;
        furnish()?;
        let mut node = Node {
            containerd: spawn(&log)?,
            log,
        };
        node.ready()
            .await
            .map_err(|error| node.failed(&format!("{error:#}")))?;
        images::import_all()
            .await
            .map_err(|error| node.failed(&format!("{error:#}")))?;
        Ok(RwLock::new(node))
    })
    .await
}

/// Where containerd logs: outside of what vanishes with the run, so that it can be read afterwards.
fn log_file() -> Result<PathBuf> {
    let file = std::env::var_os("CONTAINERD_TEST_LOG").map(PathBuf::from);
    let file = file.context("CONTAINERD_TEST_LOG is not set: run `cargo xtask test containerd`")?;
    File::create(&file).with_context(|| format!("make {}", file.display()))?;
    Ok(file)
}

/// Makes what containerd and the containers need to find.
fn furnish() -> Result<()> {
    ensure!(
        fs::read_dir("/run")?.count() <= 1,
        "/run is in use: this suite runs inside `contained`, as `cargo xtask test containerd` does it"
    );
    fs::create_dir_all(config::binaries())?;
    fs::create_dir_all(config::networks())?;
    fs::create_dir_all(config::plugins())?;
    for name in ["containerd", "containerd-shim-runc-v2", "runc"] {
        link(&artifacts::node_binary(name)?, &config::binaries())?;
    }
    for name in ["bridge", "loopback", "host-local"] {
        link(&artifacts::node_binary(name)?, &config::plugins())?;
    }
    if let Ok(shim) = artifacts::shim() {
        link(&shim, &config::binaries())?;
    }
    fs::write(config::file(), config::containerd())?;
    fs::write(config::crictl(), config::CRICTL)?;
    fs::write(
        config::networks().join("10-visits.conflist"),
        config::network(),
    )?;
    network::bridge()
}

fn link(program: &Path, directory: &Path) -> Result<()> {
    let name = program.file_name().context("a program has a name")?;
    std::os::unix::fs::symlink(program, directory.join(name))
        .with_context(|| format!("link {} into {}", program.display(), directory.display()))
}

/// Starts containerd with a `PATH` on which it finds the shims, and a secret in its environment.
fn spawn(log: &Path) -> Result<Child> {
    let append = || -> Result<File> {
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| log.display().to_string())
    };
    let mut path = config::binaries().into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    Command::new(config::binaries().join("containerd"))
        .arg("--config")
        .arg(config::file())
        .env("PATH", path)
        .env(PLANTED.0, PLANTED.1)
        .stdin(Stdio::null())
        .stdout(append()?)
        .stderr(append()?)
        .spawn()
        .context("start containerd")
}
