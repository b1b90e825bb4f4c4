//! One containerd for all tests of the suite. `contained` gives it file systems and namespaces of its own (see
//! tests/contained).
//!
//! A test holds the node shared while it runs. A test that breaks containerd itself holds it alone, and the others wait.

pub(crate) mod config;

use crate::{crictl, ctr, images, network};
use anyhow::{Context, Result, anyhow, ensure};
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::sync::{OnceCell, RwLock, RwLockReadGuard, RwLockWriteGuard};
use visits_support::programs::path_with;
use visits_tests::{artifacts, environment, wait};

/// A variable in containerd's own environment. No container may see it.
pub(crate) const PLANTED: (&str, &str) = ("PLANTED_SECRET", "the-secret-of-the-node");

/// The time that containerd may take to start.
const START: Duration = Duration::from_secs(60);

/// The shared node. It is never dropped; its processes end with the namespaces they are in.
static NODE: OnceCell<RwLock<Node>> = OnceCell::const_new();

/// A running containerd.
pub(crate) struct Node {
    containerd: Child,
    log: PathBuf,
}

impl Node {
    /// Returns the node, which other tests use at the same time.
    pub(crate) async fn shared() -> Result<RwLockReadGuard<'static, Node>> {
        Ok(node().await?.read().await)
    }

    /// Waits until no other test uses the node and returns it.
    pub(crate) async fn alone() -> Result<RwLockWriteGuard<'static, Node>> {
        Ok(node().await?.write().await)
    }

    /// Returns the cgroup above all containers of this run: the path in every hierarchy.
    pub(crate) fn cgroup() -> Result<String> {
        let name = environment::CONTAINERD_CGROUP.text()?;
        Ok(format!("/{name}"))
    }

    /// Kills containerd as a crash would. Its containers keep running.
    pub(crate) fn kill9(&mut self) -> Result<()> {
        self.containerd.kill().context("cannot kill containerd")?;
        self.containerd
            .wait()
            .context("cannot wait for the end of containerd")?;
        Ok(())
    }

    /// Starts containerd again.
    pub(crate) async fn start_again(&mut self) -> Result<()> {
        self.containerd = spawn(&self.log)?;
        self.ready().await
    }

    /// Returns everything that containerd and the shims have logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_else(|error| format!("(no log: {error})"))
    }

    /// Returns an error with the end of the log.
    pub(crate) fn failed(&self, what: &str) -> anyhow::Error {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines[lines.len().saturating_sub(40)..].join("\n");
        let path = self.log.display();
        anyhow!("{what}\n--- the end of containerd's log, {path} ---\n{last}\n---")
    }

    /// Adds the end of the log to an error.
    pub(crate) fn with_log<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| self.failed(&format!("{error:#}")))
    }

    async fn ready(&mut self) -> Result<()> {
        let answers = wait::until("containerd answers", START, async || {
            if let Some(status) = self.containerd.try_wait()? {
                return Err(self.failed(&format!("containerd has ended: {status}")));
            }
            if ctr::run(["version"]).await.is_err() {
                return Ok(None);
            }
            // The CRI plugin needs a moment more to recover the pods.
            Ok(crictl::answers().await.ok())
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
        let ready = node.ready().await;
        node.with_log(ready)?;
        node.with_log(images::import_all().await)?;
        Ok(RwLock::new(node))
    })
    .await
}

/// Makes containerd's log file. It is outside the file systems that vanish with the run, so it can be read afterwards.
fn log_file() -> Result<PathBuf> {
    let file = environment::CONTAINERD_LOG.path()?;
    File::create(&file).with_context(|| format!("cannot make {}", file.display()))?;
    Ok(file)
}

/// Makes the files and the bridge that containerd and the containers need.
fn furnish() -> Result<()> {
    ensure!(
        fs::read_dir("/run")?.count() <= 1,
        "/run is in use: run this suite with `cargo xtask test containerd`, which gives it a /run of its own"
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
    let name = program
        .file_name()
        .context("the path of a program has no file name")?;
    std::os::unix::fs::symlink(program, directory.join(name)).with_context(|| {
        format!(
            "cannot link {} into {}",
            program.display(),
            directory.display()
        )
    })
}

/// Starts containerd with a `PATH` on which it finds the shims, and a secret in its environment. It ignores no signal, even if
/// `nohup` has started the tests, because runc's containers may inherit that.
fn spawn(log: &Path) -> Result<Child> {
    let append = || -> Result<File> {
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("cannot open {}", log.display()))
    };
    Command::new("env")
        .arg("--default-signal")
        .arg(config::binaries().join("containerd"))
        .arg("--config")
        .arg(config::file())
        .env("PATH", path_with(&[config::binaries()])?)
        .env(PLANTED.0, PLANTED.1)
        .stdin(Stdio::null())
        .stdout(append()?)
        .stderr(append()?)
        .spawn()
        .context("cannot start containerd")
}
