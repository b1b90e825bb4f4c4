//! The cluster of all tests of the suite, by the program that made it.
//!
//! A test holds the cluster shared while it runs. One that breaks the node itself holds it alone, so that the others
//! wait instead of failing.

use crate::kubectl;
use anyhow::{Context, Result};
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tokio::sync::{Mutex, OnceCell, RwLock, RwLockReadGuard, RwLockWriteGuard};
use visits_tests::command::{Bounded, run_beside};

/// The only node.
const NODE: &str = "node";

/// How long it may take until the whole node is up.
const START: Duration = Duration::from_secs(240);

static CLUSTER: OnceCell<RwLock<Cluster>> = OnceCell::const_new();

/// A running cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    program: PathBuf,
    /// Its commands that change something refuse to run beside each other.
    one: Mutex<()>,
}

impl Cluster {
    /// The cluster, beside other tests.
    pub(crate) async fn shared() -> Result<RwLockReadGuard<'static, Cluster>> {
        Ok(cluster().await?.read().await)
    }

    /// The cluster, with no other test on it.
    pub(crate) async fn alone() -> Result<RwLockWriteGuard<'static, Cluster>> {
        Ok(cluster().await?.write().await)
    }

    /// Runs a program in the node; what it printed.
    pub(crate) async fn node<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Vec<u8>> {
        Bounded::new(self.in_node(arguments)).run_beside().await
    }

    /// Runs lines of shell in the node, up to the first that fails.
    pub(crate) async fn shell(&self, lines: &str) -> Result<String> {
        run_beside(self.in_node(["sh", "-euc", lines])).await
    }

    /// The same for those who cannot wait beside others: guards.
    pub(crate) fn shell_now(&self, lines: &str) -> Result<String> {
        visits_tests::command::run(self.in_node(["sh", "-euc", lines]))
    }

    /// Gives an image to the node.
    pub(crate) async fn import(&self, tar: &std::path::Path) -> Result<()> {
        self.run([OsStr::new("import"), tar.as_os_str()]).await
    }

    /// Ends one of the node's programs and starts it again: `kubelet`, `containerd`.
    pub(crate) async fn restart(&self, program: &str) -> Result<()> {
        self.run(["restart", program]).await
    }

    /// Ends the node as a power cut would: everything in it is killed.
    pub(crate) async fn stop(&self) -> Result<()> {
        self.run(["stop"]).await
    }

    /// Starts it again.
    pub(crate) async fn start(&self) -> Result<()> {
        self.run(["start"]).await?;
        let node = format!("node/{NODE}");
        kubectl::wait(START, ["wait", "--for=condition=Ready", &node])
            .await
            .map(drop)
    }

    /// The end of what one of the node's programs has logged.
    pub(crate) fn log(&self, program: &str) -> String {
        let path = match std::env::var_os("KUBECONFIG").map(PathBuf::from) {
            // The kubeconfig lies in the cluster's directory, and so do the logs.
            Some(kubeconfig) => kubeconfig
                .with_file_name("log")
                .join(format!("{program}.log")),
            None => return "(KUBECONFIG is not set)".into(),
        };
        let log = match std::fs::read(&path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) => return format!("({}: {error})", path.display()),
        };
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    fn in_node<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["node", "--"]).args(arguments);
        command
    }

    async fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Result<()> {
        let _one = self.one.lock().await;
        let mut command = Command::new(&self.program);
        command.args(arguments);
        let ran = Bounded::new(command).within(START).run_beside();
        ran.await.map(drop)
    }
}

async fn cluster() -> Result<&'static RwLock<Cluster>> {
    CLUSTER
        .get_or_try_init(async || {
            let program = std::env::var_os("CLUSTER_BIN").map(PathBuf::from);
            let program =
                program.context("CLUSTER_BIN is not set: run `cargo xtask test cluster`")?;
            kubectl::run(["get", "nodes"])
                .await
                .context("the cluster does not answer: run `cargo xtask test cluster`")?;
            Ok(RwLock::new(Cluster {
                program,
                one: Mutex::new(()),
            }))
        })
        .await
}
