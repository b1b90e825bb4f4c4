//! The cluster of all tests of the suite: the suite's own, with the tool that brought it up, or a foreign one.
//!
//! A test shares the cluster while it runs. A test that disturbs the node holds the cluster alone, so that other tests wait
//! instead of failing.

use crate::kubectl;
use anyhow::{Context, Result, ensure};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tokio::sync::{Mutex, OnceCell, RwLock, RwLockReadGuard, RwLockWriteGuard};
use visits_support::environment;
use visits_tests::command::{Bounded, run, run_beside};

/// The name of the suite's own node.
const NODE: &str = "node";

/// The deadline for a start of the whole node, and for the import of an image.
const START: Duration = Duration::from_secs(240);

/// The lines of a log in a diagnosis.
const TAIL: usize = 40;

static CLUSTER: OnceCell<RwLock<Cluster>> = OnceCell::const_new();

/// A running cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// The cluster tool. A foreign cluster has none, so its node is out of reach.
    tool: Option<PathBuf>,
    /// The tool's commands that change something refuse to run side by side.
    one: Mutex<()>,
}

impl Cluster {
    /// Returns the cluster, shared with other tests.
    pub(crate) async fn shared() -> Result<RwLockReadGuard<'static, Cluster>> {
        Ok(cluster().await?.read().await)
    }

    /// Returns the cluster when no other test uses it.
    pub(crate) async fn alone() -> Result<RwLockWriteGuard<'static, Cluster>> {
        Ok(cluster().await?.write().await)
    }

    /// Returns whether the cluster was brought up by someone else.
    pub(crate) fn is_foreign(&self) -> bool {
        self.tool.is_none()
    }

    /// Runs a program on the node and returns its stdout.
    pub(crate) async fn node<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Vec<u8>> {
        Bounded::new(self.on_node(arguments)?).run_beside().await
    }

    /// Runs lines of shell on the node, up to the first that fails, and returns their stdout.
    pub(crate) async fn shell(&self, lines: &str) -> Result<String> {
        run_beside(self.on_node(["sh", "-euc", lines])?).await
    }

    /// Runs lines of shell on the node like [`Cluster::shell`], but blocks, as guards must on drop.
    pub(crate) fn shell_now(&self, lines: &str) -> Result<String> {
        run(self.on_node(["sh", "-euc", lines])?)
    }

    /// Imports the images in an archive, on a foreign cluster by the command of its owner.
    pub(crate) async fn import(&self, archive: &Path) -> Result<()> {
        if self.is_foreign() {
            let mut load = Command::new("sh");
            let line = format!("{} \"$1\"", environment::LOAD.text()?);
            load.args(["-euc", &line, "sh"]).arg(archive);
            let loaded = Bounded::new(load).within(START).run_beside();
            return loaded.await.map(drop);
        }
        self.run([OsStr::new("import"), archive.as_os_str()]).await
    }

    /// Restarts one of the node's programs, such as `kubelet` or `containerd`.
    pub(crate) async fn restart(&self, program: &str) -> Result<()> {
        self.run(["restart", program]).await
    }

    /// Kills one of the node's programs and waits until its supervisor has started it again.
    pub(crate) async fn kill(&self, program: &str) -> Result<()> {
        self.run(["restart", "--kill", program]).await
    }

    /// Kills every process on the node, as a power cut would.
    pub(crate) async fn stop(&self) -> Result<()> {
        self.run(["stop"]).await
    }

    /// Starts the node again and waits until it is ready.
    pub(crate) async fn start(&self) -> Result<()> {
        self.run(["start"]).await?;
        let node = format!("node/{NODE}");
        kubectl::wait(START, ["wait", "--for=condition=Ready", &node])
            .await
            .map(drop)
    }

    /// Returns the last lines that one of the node's programs has logged.
    pub(crate) fn log(&self, program: &str) -> String {
        if self.is_foreign() {
            return "(on the node of a foreign cluster)".into();
        }
        // The kubeconfig and the logs lie in the cluster's directory.
        let log = environment::KUBECONFIG.path().and_then(|kubeconfig| {
            let path = kubeconfig
                .with_file_name("log")
                .join(format!("{program}.log"));
            std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
        });
        match log {
            Ok(bytes) => {
                let log = String::from_utf8_lossy(&bytes);
                let lines: Vec<&str> = log.lines().collect();
                lines[lines.len().saturating_sub(TAIL)..].join("\n")
            }
            Err(error) => format!("({error:#})"),
        }
    }

    fn on_node<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Result<Command> {
        let mut command = Command::new(self.tool()?);
        command.args(["node", "--"]).args(arguments);
        Ok(command)
    }

    async fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Result<()> {
        let _one = self.one.lock().await;
        let mut command = Command::new(self.tool()?);
        command.args(arguments);
        let ran = Bounded::new(command).within(START).run_beside();
        ran.await.map(drop)
    }

    fn tool(&self) -> Result<&Path> {
        self.tool.as_deref().context(
            "the node of a foreign cluster is out of reach (mark this test with #[ignore = \"needs the node: …\"])",
        )
    }
}

async fn cluster() -> Result<&'static RwLock<Cluster>> {
    CLUSTER
        .get_or_try_init(async || {
            kubectl::run(["get", "nodes"])
                .await
                .context("the cluster does not respond (run `cargo xtask test cluster`)")?;
            let tool = match environment::CLUSTER_TOOL.get() {
                Some(_) => Some(environment::CLUSTER_TOOL.path()?),
                None => None,
            };
            let cluster = Cluster {
                tool,
                one: Mutex::new(()),
            };
            if cluster.is_foreign() {
                check_shim().await?;
                cluster.import(&environment::COUNTER_IMAGE.path()?).await?;
            }
            Ok(RwLock::new(cluster))
        })
        .await
}

/// Fails unless the cluster has the RuntimeClass and a node with the shim.
async fn check_shim() -> Result<()> {
    kubectl::run(["get", "runtimeclass", "preopen"])
        .await
        .context("the cluster lacks the RuntimeClass preopen (see runtimeclass/nodes.md)")?;
    let nodes = [
        "get",
        "nodes",
        "--selector=preopen/shim=ready",
        "--output=name",
    ];
    let nodes = kubectl::run(nodes).await?;
    ensure!(
        !nodes.trim().is_empty(),
        "no node has the label preopen/shim=ready (install the shim: see runtimeclass/nodes.md)"
    );
    Ok(())
}
