//! Pods as kubelet makes them: through containerd's CRI, with `crictl`.

mod container;

pub(crate) use container::{PodContainer, Setup};

use crate::container::Workload;
use crate::crictl;
use crate::node::Node;
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use tempfile::TempDir;
use visits_tests::command;

/// The handler by which a RuntimeClass selects the shim.
pub(crate) const HANDLER: &str = "preopen";
/// The handler of the control.
pub(crate) const RUNC: &str = "runc";

/// The CRI's `NamespaceMode` for a process namespace per container, which is kubelet's default.
const OWN_PROCESSES: u32 = 1;
/// The CRI's `NamespaceMode` for one process namespace per pod: `shareProcessNamespace`.
const SHARED_PROCESSES: u32 = 0;

/// The id on the node of root in a pod with a user namespace, and the number of ids in it.
pub(crate) const MAPPED_ROOT: u32 = 100_000;
pub(crate) const MAPPED_IDS: u32 = 65536;

/// Returns the CRI's mapping of a pod's ids.
fn mapping() -> Value {
    json!([{ "container_id": 0, "host_id": MAPPED_ROOT, "length": MAPPED_IDS }])
}

/// Returns the CRI's `UserNamespace` of a pod with `hostUsers: false`.
fn user_namespace() -> Value {
    json!({ "mode": 0, "uids": mapping(), "gids": mapping() })
}

/// A pod. It is stopped and removed with its containers on drop.
#[derive(Debug)]
pub(crate) struct Pod {
    id: String,
    address: IpAddr,
    other_address: Option<IpAddr>,
    cgroup: String,
    directory: TempDir,
}

impl Pod {
    /// Starts a pod with this handler. Its name is also its host name.
    pub(crate) async fn start(node: &Node, handler: &str) -> Result<Self> {
        Self::start_with_sysctls(node, handler, &[]).await
    }

    /// Starts a pod with these sysctls.
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

    /// Starts a pod whose containers see each other's processes.
    pub(crate) async fn start_sharing_processes(node: &Node, handler: &str) -> Result<Self> {
        let namespaces = json!({ "pid": SHARED_PROCESSES });
        Self::start_with(node, handler, namespaces, Map::new()).await
    }

    /// Starts a pod with `hostUsers: false`: root in it is another user of the node.
    pub(crate) async fn start_in_user_namespace(node: &Node, handler: &str) -> Result<Self> {
        let namespaces = json!({ "pid": OWN_PROCESSES, "userns_options": user_namespace() });
        Self::start_with(node, handler, namespaces, Map::new()).await
    }

    /// Starts a pod of the shim with one container, and waits until that listens.
    pub(crate) async fn serving(node: &Node, setup: Setup) -> Result<(Self, PodContainer)> {
        let pod = Self::start(node, HANDLER).await?;
        let container = pod.serve(node, setup).await?;
        Ok((pod, container))
    }

    /// Starts a pod with a restricted container of this workload.
    pub(crate) async fn of(workload: Workload, node: &Node) -> Result<(Self, PodContainer)> {
        let pod = Self::start(node, handler(workload)).await?;
        let setup = Setup::of_workload(workload);
        let container = match workload {
            Workload::Wasm => pod.serve(node, setup).await?,
            Workload::Runc | Workload::Native => pod.run(node, setup).await?,
        };
        Ok((pod, container))
    }

    async fn start_with(
        node: &Node,
        handler: &str,
        namespaces: Value,
        sysctls: Map<String, Value>,
    ) -> Result<Self> {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let name = format!("pod-{}", LAST.fetch_add(1, Ordering::Relaxed) + 1);
        let directory = tempfile::tempdir().context("cannot make a directory for a pod")?;
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
        let mut run = crictl::command(["runp", "--cancel-timeout", "40s", "--runtime", handler])?;
        run.arg(directory.path().join("pod.json"));
        let id = node.with_log(command::run_beside(run).await)?;
        // From here on the pod is removed if something fails.
        let mut pod = Self {
            id: id.trim().to_owned(),
            address: [0, 0, 0, 0].into(),
            other_address: None,
            cgroup,
            directory,
        };
        let status = pod.status().await?;
        let address = status["status"]["network"]["ip"].as_str().unwrap_or("");
        pod.address = address
            .parse()
            .with_context(|| format!("the pod's address is {address:?}"))?;
        let others = &status["status"]["network"]["additionalIps"];
        pod.other_address = others[0]["ip"].as_str().and_then(|ip| ip.parse().ok());
        Ok(pod)
    }

    /// Returns its id.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Returns its name, which is also the host name of its containers.
    pub(crate) fn name(&self) -> &str {
        self.cgroup.rsplit('/').next().unwrap_or_default()
    }

    /// Returns the cgroup above those of its containers: the path in every hierarchy.
    pub(crate) fn cgroup(&self) -> &str {
        &self.cgroup
    }

    /// Returns the address on which one of its containers is expected to listen.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::new(self.address, 5000)
    }

    /// Returns the same for its address of the other family, if it has one.
    pub(crate) fn other_address(&self) -> Option<SocketAddr> {
        self.other_address
            .map(|address| SocketAddr::new(address, 5000))
    }

    /// Returns its status, as containerd reports it.
    pub(crate) async fn status(&self) -> Result<Value> {
        crictl::json(["inspectp", "--output", "json", &self.id]).await
    }

    /// Creates and starts a container in it.
    pub(crate) async fn run(&self, node: &Node, setup: Setup) -> Result<PodContainer> {
        let container = PodContainer::create(self, node, setup).await?;
        container.start(node).await?;
        Ok(container)
    }

    /// Creates and starts a container in it, and waits until that listens.
    pub(crate) async fn serve(&self, node: &Node, setup: Setup) -> Result<PodContainer> {
        let container = self.run(node, setup).await?;
        container.listens(self, node).await?;
        Ok(container)
    }

    /// Stops it and all its containers, as kubelet does at the end of a pod.
    pub(crate) async fn stop(&self) -> Result<()> {
        crictl::run(["stopp", &self.id]).await.map(drop)
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
        let removed = crictl::command(["rmp", "--force", &self.id]).and_then(command::run);
        if let Err(error) = removed {
            eprintln!("note: cannot remove pod {}: {error:#}", self.id);
        }
    }
}

/// Returns the handler of a workload's runtime.
pub(crate) fn handler(workload: Workload) -> &'static str {
    match workload {
        Workload::Runc => RUNC,
        Workload::Native | Workload::Wasm => HANDLER,
    }
}

fn write(path: &Path, value: &Value) -> Result<()> {
    std::fs::write(path, value.to_string())
        .with_context(|| format!("cannot write {}", path.display()))
}
