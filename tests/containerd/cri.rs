//! Pods, as kubelet makes them: through the interface between Kubernetes and containerd, by `crictl`.

mod container;

pub(crate) use container::{PodContainer, Setup};

use crate::node::{self, Node};
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use tempfile::TempDir;
use visits_tests::{artifacts, command};

/// The handler by which a RuntimeClass names the shim.
pub(crate) const HANDLER: &str = "preopen";

/// Each container has a process namespace of its own, as kubelet has it unless the pod says otherwise.
const OWN_PROCESSES: u32 = 1;
/// The containers share the pod's: `shareProcessNamespace`.
const SHARED_PROCESSES: u32 = 0;

/// A pod; it is stopped and removed with its containers on drop.
#[derive(Debug)]
pub(crate) struct Pod {
    id: String,
    address: IpAddr,
    other_address: Option<IpAddr>,
    cgroup: String,
    directory: TempDir,
}

impl Pod {
    /// A pod of this RuntimeClass handler. Its name is its host's name, too.
    pub(crate) async fn start(node: &Node, handler: &str) -> Result<Self> {
        Self::start_with_sysctls(node, handler, &[]).await
    }

    /// A pod with these kernel parameters of its own.
    pub(crate) async fn start_with_sysctls(
        node: &Node,
        handler: &str,
        sysctls: &[(&str, &str)],
    ) -> Result<Self> {
        let sysctls: Map<String, Value> = sysctls
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.into()))
            .collect();
        let namespaces = json!({ "pid": OWN_PROCESSES });
        Self::start_with(node, handler, namespaces, sysctls).await
    }

    /// A pod whose containers see each other's processes.
    pub(crate) async fn start_sharing_processes(node: &Node, handler: &str) -> Result<Self> {
        let namespaces = json!({ "pid": SHARED_PROCESSES });
        Self::start_with(node, handler, namespaces, Map::new()).await
    }

    /// A pod with `hostUsers: false`: root in it is another user of the node's.
    pub(crate) async fn start_in_user_namespace(node: &Node, handler: &str) -> Result<Self> {
        let mapped = json!([{ "container_id": 0, "host_id": 100_000, "length": 65536 }]);
        let users = json!({ "mode": 0, "uids": mapped, "gids": mapped });
        let namespaces = json!({ "pid": OWN_PROCESSES, "userns_options": users });
        Self::start_with(node, handler, namespaces, Map::new()).await
    }

    async fn start_with(
        node: &Node,
        handler: &str,
        namespaces: Value,
        sysctls: Map<String, Value>,
    ) -> Result<Self> {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let name = format!("pod-{}", LAST.fetch_add(1, Ordering::Relaxed) + 1);
        let directory = tempfile::tempdir().context("make a directory for a pod")?;
        let cgroup = format!("{}/{name}", Node::cgroup()?);
        let config = json!({
            "metadata": { "name": name, "uid": format!("{name}-uid"), "namespace": "tests", "attempt": 0 },
            "hostname": name,
            "log_directory": directory.path(),
            "linux": {
                "cgroup_parent": cgroup,
                "sysctls": sysctls,
                "security_context": { "namespace_options": namespaces },
            },
        });
        write(&directory.path().join("pod.json"), &config)?;
        let mut run = crictl(["runp", "--cancel-timeout", "40s", "--runtime", handler])?;
        run.arg(directory.path().join("pod.json"));
        let started = command::run_beside(run).await;
        let id = started
            .map_err(|error| node.failed(&format!("{error:#}")))?
            .trim()
            .to_owned();
        // A guard before the next thing that may fail.
        let mut pod = Self {
            id,
            address: [0, 0, 0, 0].into(),
            other_address: None,
            cgroup,
            directory,
        };
        let status = pod.status().await?;
        let address = status["status"]["network"]["ip"].as_str().unwrap_or("");
        pod.address = address
            .parse()
            .with_context(|| format!("the pod's address: {address:?}"))?;
        let others = &status["status"]["network"]["additionalIps"];
        pod.other_address = others[0]["ip"].as_str().and_then(|ip| ip.parse().ok());
        Ok(pod)
    }

    /// Its id.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Its name, which is its containers' host name.
    pub(crate) fn name(&self) -> &str {
        self.cgroup.rsplit('/').next().unwrap_or_default()
    }

    /// The cgroup above its containers', as a path in each hierarchy.
    pub(crate) fn cgroup(&self) -> &str {
        &self.cgroup
    }

    /// Where a container of it would listen.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::new(self.address, 5000)
    }

    /// The same on its address of the other family, if it has one.
    pub(crate) fn other_address(&self) -> Option<SocketAddr> {
        self.other_address
            .map(|address| SocketAddr::new(address, 5000))
    }

    /// What containerd says of it.
    pub(crate) async fn status(&self) -> Result<Value> {
        json_of(crictl(["inspectp", "--output", "json", &self.id])?).await
    }

    /// Makes a container in it and starts it.
    pub(crate) async fn run(&self, node: &Node, setup: Setup) -> Result<PodContainer> {
        let container = PodContainer::create(self, node, setup).await?;
        container.start(node).await?;
        Ok(container)
    }

    /// Stops it with all its containers, as kubelet does at last.
    pub(crate) async fn stop(&self) -> Result<()> {
        command::run_beside(crictl(["stopp", &self.id])?)
            .await
            .map(drop)
    }

    fn directory(&self) -> &Path {
        self.directory.path()
    }

    fn config(&self) -> PathBuf {
        self.directory().join("pod.json")
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        let removed = crictl(["rmp", "--force", &self.id]).and_then(command::run);
        if let Err(error) = removed {
            eprintln!("note: pod {} is left behind: {error:#}", self.id);
        }
    }
}

/// Succeeds once containerd serves Kubernetes.
pub(crate) async fn answers() -> Result<()> {
    command::run_beside(crictl(["info"])?).await.map(drop)
}

/// `crictl ARGUMENTS`.
pub(crate) fn crictl<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Result<Command> {
    let mut command = Command::new(artifacts::node_binary("crictl")?);
    command.arg("--config").arg(node::crictl()).args(arguments);
    Ok(command)
}

async fn json_of(command: Command) -> Result<Value> {
    let line = command::line(&command);
    let text = command::run_beside(command).await?;
    serde_json::from_str(&text).with_context(|| format!("what `{line}` printed: {text}"))
}

fn write(path: &Path, value: &Value) -> Result<()> {
    std::fs::write(path, value.to_string()).with_context(|| format!("write {}", path.display()))
}
