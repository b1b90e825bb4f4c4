//! The cluster of this project, if one runs on this machine: its node, its API, and what a run leaves there meanwhile. All
//! pods of a run are in one namespace. It is removed at the end, together with their images, even if the run is killed: see
//! [`Guard`].

use anyhow::{Context, Result};
use oci_writer::Image;
use serde_json::{Value, json};
use std::cell::OnceCell;
use std::ffi::OsStr;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use visits_support::command::{self, Bounded};
use visits_support::environment;

/// The namespace of the pods.
pub(crate) const NAMESPACE: &str = "visits-bench";

/// The start of the names of all images.
const IMAGES: &str = "localhost/visits-bench/";

/// containerd's client on the node.
const CTR: &str = "/run/visits/node/ctr";

/// How long a pod or the namespace may take to be gone, on a busy machine.
const REMOVAL: Duration = Duration::from_secs(300);

/// How much later kubectl is killed than its own deadline, so that it can report what it waited for.
const GRACE: Duration = Duration::from_secs(10);

/// A cluster that runs.
#[derive(Debug)]
pub(crate) struct Cluster {
    tool: PathBuf,
    kubectl: PathBuf,
    kubeconfig: PathBuf,
}

impl Cluster {
    /// Returns the cluster, if one runs.
    pub(crate) fn running() -> Option<Self> {
        let tool = environment::CLUSTER_TOOL.path().ok()?;
        let kubectl = environment::KUBECTL.path().ok()?;
        command::run(on_node(&tool, "true")).ok()?;
        let mut kubeconfig = Command::new(&tool);
        kubeconfig.arg("kubeconfig");
        let kubeconfig = command::run(kubeconfig).ok()?.trim_end().into();
        Some(Self {
            tool,
            kubectl,
            kubeconfig,
        })
    }

    /// Returns the command that runs a program on the node, as root.
    pub(crate) fn node(&self, program: &str) -> Command {
        on_node(&self.tool, program)
    }

    /// Returns `kubectl`, with the namespace of the pods.
    pub(crate) fn kubectl<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Command {
        let mut kubectl = Command::new(&self.kubectl);
        kubectl
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            // The cluster's own cache, which is removed with the cluster.
            .env("KUBECACHEDIR", self.kubeconfig.with_file_name("kubectl"))
            .args(["--namespace", NAMESPACE])
            .args(arguments);
        kubectl
    }

    /// Returns an object of the API.
    pub(crate) fn get(&self, kind: &str, name: &str) -> Result<Value> {
        let json = command::run(self.kubectl(["get", kind, name, "--output=json"]))?;
        serde_json::from_str(&json).with_context(|| format!("kubectl printed {json}"))
    }

    /// Creates an object.
    pub(crate) fn create(&self, object: &Value) -> Result<()> {
        let create = self.kubectl(["create", "--filename=-"]);
        let created = Bounded::new(create).input(object.to_string()).run();
        created.map(drop)
    }

    /// Deletes an object, if it exists, and waits until it is gone.
    pub(crate) fn delete(&self, kind: &str, name: &str) -> Result<()> {
        let timeout = format!("--timeout={}s", REMOVAL.as_secs());
        let delete = self.kubectl(["delete", kind, name, "--ignore-not-found", &timeout]);
        let deleted = Bounded::new(delete).within(REMOVAL + GRACE).run();
        deleted.map(drop)
    }

    /// Returns the address that stands for all of a pod's addresses, in the family that pods have first.
    pub(crate) fn unspecified(&self) -> Result<IpAddr> {
        let subnet = "--output=jsonpath={.items[0].spec.podCIDR}";
        let subnet = command::run(self.kubectl(["get", "nodes", subnet]))?;
        Ok(unspecified(&subnet))
    }

    /// Imports an image.
    pub(crate) fn import(&self, image: &Image) -> Result<()> {
        let directory = tempfile::tempdir().context("cannot create a directory for an image")?;
        let tar = directory.path().join("image.tar");
        image.write_layout_tar(&tar)?;
        let mut import = Command::new(&self.tool);
        import.arg("import").arg(tar);
        command::run(import).map(drop)
    }

    /// Removes everything that a run creates in the cluster.
    fn clean(&self) -> Result<()> {
        self.delete("namespace", NAMESPACE)?;
        let names = command::run(self.images(["list", "--quiet"]))?;
        let ours = names.lines().filter(|name| name.starts_with(IMAGES));
        let remove = ["remove", "--sync"].into_iter().chain(ours);
        command::run(self.images(remove)).map(drop)
    }

    /// Returns `ctr images` for the images of Kubernetes.
    fn images<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut ctr = self.node(CTR);
        ctr.args(["--address", "/run/containerd/containerd.sock"])
            .args(["--namespace", "k8s.io", "images"])
            .args(arguments);
        ctr
    }
}

/// The cluster as the pods of one run share it. The first pod creates the namespace.
#[derive(Debug, Default)]
pub(crate) struct Stage {
    cluster: OnceCell<Option<Cluster>>,
    guard: OnceCell<Guard>,
}

impl Stage {
    /// Returns the cluster, if one runs.
    pub(crate) fn cluster(&self) -> Option<&Cluster> {
        self.cluster.get_or_init(Cluster::running).as_ref()
    }

    /// Returns the cluster with the namespace in it. Removes first what a killed run has left.
    pub(crate) fn set(&self) -> Result<&Cluster> {
        let cluster = self.cluster().context("no cluster runs")?;
        if self.guard.get().is_none() {
            cluster.clean()?;
            let guard = Guard::start()?;
            let _ = self.guard.set(guard);
            let metadata = json!({ "name": NAMESPACE });
            cluster.create(
                &json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": metadata }),
            )?;
        }
        Ok(cluster)
    }
}

/// A second process of this program. It waits for the end of the first one, however that ends, and then removes what the
/// run has left in the cluster. Ctrl-C does not reach it, because it has a process group of its own.
#[derive(Debug)]
struct Guard(Child);

impl Guard {
    fn start() -> Result<Self> {
        let mut guard = Command::new("/proc/self/exe");
        guard
            .arg("--clean-up")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .process_group(0);
        let guard = guard.spawn().context("cannot start this program again")?;
        Ok(Self(guard))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Ends its stdin. It prints its own errors.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// Waits for the end of stdin, and removes everything that a run has left in the cluster.
pub(crate) fn clean_up() -> Result<()> {
    io::copy(&mut io::stdin(), &mut io::sink()).context("cannot read stdin")?;
    let Some(cluster) = Cluster::running() else {
        return Ok(());
    };
    let cleaned = cluster.clean();
    cleaned.with_context(|| format!("the namespace {NAMESPACE} is left behind (delete it)"))
}

/// Returns the name of the image of a server.
pub(crate) fn image_name(id: &str) -> String {
    format!("{IMAGES}{id}:bench")
}

fn on_node(tool: &Path, program: &str) -> Command {
    let mut command = Command::new(tool);
    command.args(["node", "--", program]);
    command
}

fn unspecified(subnet: &str) -> IpAddr {
    if subnet.contains(':') {
        Ipv6Addr::UNSPECIFIED.into()
    } else {
        Ipv4Addr::UNSPECIFIED.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_listens_in_the_family_that_pods_have_first() {
        assert_eq!(unspecified("10.244.0.0/24"), Ipv4Addr::UNSPECIFIED);
        assert_eq!(unspecified("fd00:10:244::/64"), Ipv6Addr::UNSPECIFIED);
    }
}
