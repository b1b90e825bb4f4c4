//! A server that is a pod of a cluster. Its client runs on the cluster's node.
//!
//! The node's processes are also processes of this machine, so a pod's CPU time and memory are measured like those of any
//! other server: of the processes in its container. These do not include the container's shim nor the pod's pause container,
//! because neither takes part in a request.

use crate::cluster::{Cluster, NAMESPACE, Stage, image_name};
use crate::server::Server;
use crate::volume;
use anyhow::{Context, Result, bail, ensure};
use oci_writer::Image;
use procfs::process::{Process as Entry, all_processes};
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;
use visits_support::command::{self, Bounded};
use visits_support::wait;
use visits_tests::app::GUEST_VOLUME;

/// The port of every server, in its own network.
const PORT: u16 = 5000;

/// The user and group of every server.
const USER: u32 = 65532;

/// The name of the volume.
const VOLUME: &str = "persistent";

/// How long a pod may take until its container runs.
const START: Duration = Duration::from_secs(90);

/// What a pod is made from.
pub(crate) struct Template {
    pub(crate) stage: Rc<Stage>,
    /// The RuntimeClass; runc has none.
    pub(crate) runtime_class: Option<&'static str>,
    /// Returns the image of a server that listens on this address.
    pub(crate) fill: fn(Image, SocketAddr) -> Result<Image>,
}

impl Template {
    /// Returns why the pod cannot be started here, if so.
    pub(crate) fn missing(&self, id: &str) -> Option<String> {
        if self.stage.cluster().is_none() {
            return Some(
                "no pod is measured, because no cluster runs: `make cluster` starts one".into(),
            );
        }
        let error = self.image(id, Ipv4Addr::UNSPECIFIED.into()).err()?;
        Some(format!("cannot run {id}: {error:#}"))
    }

    /// Starts the pod and waits until its container runs.
    pub(crate) fn start(&self, id: &'static str, directory: &Path) -> Result<Pod> {
        let cluster = self.stage.set()?;
        cluster.import(&self.image(id, cluster.unspecified()?)?)?;
        cluster.create(&manifest(id, self.runtime_class))?;
        let started = wait::retry(&format!("a container of pod {id}"), START, || {
            Container::running(&cluster.get("pod", id)?)
        })?;
        Ok(Pod {
            stage: self.stage.clone(),
            id,
            container: started,
            directory: directory.to_owned(),
        })
    }

    fn image(&self, id: &str, listen: IpAddr) -> Result<Image> {
        let image = Image::new(image_name(id))
            .directory(GUEST_VOLUME, USER, USER, 0o755)
            .user(format!("{USER}:{USER}"))
            .uncompressed();
        (self.fill)(image, SocketAddr::new(listen, PORT))
    }
}

/// Returns the pod. All pods have the same limits, rights and kind of volume.
fn manifest(id: &str, runtime_class: Option<&str>) -> Value {
    let container = json!({
        "name": "server",
        "image": image_name(id),
        "imagePullPolicy": "Never",
        "resources": {
            "requests": { "cpu": "10m", "memory": "16Mi" },
            "limits": { "memory": "256Mi" },
        },
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": USER,
            "runAsGroup": USER,
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": { "drop": ["ALL"] },
        },
        "volumeMounts": [{ "name": VOLUME, "mountPath": GUEST_VOLUME }],
    });
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": id },
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "terminationGracePeriodSeconds": 1,
            "securityContext": { "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [container],
            "volumes": [{ "name": VOLUME, "emptyDir": {} }],
        },
    });
    if let Some(class) = runtime_class {
        pod["spec"]["runtimeClassName"] = class.into();
    }
    pod
}

/// A pod that runs. It remains until the namespace is deleted if it is dropped before [`Server::stop`].
pub(crate) struct Pod {
    stage: Rc<Stage>,
    id: &'static str,
    container: Container,
    /// The directory of the server on this machine.
    directory: PathBuf,
}

/// A pod's only container.
#[derive(Debug, PartialEq)]
struct Container {
    /// containerd's id of it.
    id: String,
    /// The pod's unique id.
    pod: String,
    address: IpAddr,
}

impl Container {
    /// Returns the container of a pod if it runs. Fails if the container has ended or cannot start.
    fn running(pod: &Value) -> Result<Option<Self>> {
        let container = &pod["status"]["containerStatuses"][0];
        let state = &container["state"];
        let ended = &state["terminated"];
        ensure!(ended.is_null(), "the container has ended: {ended}");
        // Only an error has a message.
        if let Some(message) = state["waiting"]["message"].as_str() {
            bail!("{message}");
        }
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let running = state["running"].is_object();
        let id = text(&container["containerID"]).filter(|_| running);
        let (Some(id), Some(address)) = (id, text(&pod["status"]["podIP"])) else {
            return Ok(None);
        };
        let address = address
            .parse()
            .with_context(|| format!("the pod's address is {address}"))?;
        Ok(Some(Self {
            id: id.trim_start_matches("containerd://").to_owned(),
            pod: text(&pod["metadata"]["uid"]).context("the pod has no uid")?,
            address,
        }))
    }

    /// Returns the path, on the node, of a file in the pod's volume.
    fn file(&self, name: &str) -> String {
        let pod = &self.pod;
        format!("/var/lib/kubelet/pods/{pod}/volumes/kubernetes.io~empty-dir/{VOLUME}/{name}")
    }
}

impl Pod {
    /// Returns the address in the pods' network, which only the node reaches.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::new(self.container.address, PORT)
    }

    fn cluster(&self) -> Result<&Cluster> {
        self.stage.cluster().context("no cluster runs")
    }
}

impl Server for Pod {
    fn check(&mut self) -> Result<()> {
        if self.processes()?.is_empty() {
            let logs = self.cluster()?.kubectl(["logs", "--tail=5", self.id]);
            let logs = command::run(logs).unwrap_or_else(|error| format!("{error:#}"));
            bail!("pod {} ended; its output: {}", self.id, logs.trim_end());
        }
        Ok(())
    }

    /// Returns the processes in the container's cgroup, by whose name containerd's id is.
    fn processes(&self) -> Result<Vec<Entry>> {
        let id = self.container.id.as_str();
        let is_ours = |entry: &Entry| {
            let cgroups = entry.cgroups().into_iter().flatten();
            cgroups
                .into_iter()
                .any(|cgroup| cgroup.pathname.contains(id))
        };
        let all = all_processes().context("cannot read /proc")?;
        Ok(all.flatten().filter(is_ours).collect())
    }

    /// Sends the request through the API, because this machine does not reach the pod.
    fn request(&self, address: SocketAddr) -> Result<()> {
        let (id, port) = (self.id, address.port());
        let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{id}:{port}/proxy/");
        let get = self.cluster()?.kubectl(["get", "--raw", &path]);
        command::run(get).map(drop)
    }

    fn client(&self, program: &str) -> Command {
        self.stage
            .cluster()
            .map_or_else(|| Command::new(program), |cluster| cluster.node(program))
    }

    /// Copies the count before the end, because the volume ends with the pod. The count of each response is in the file
    /// before the response is sent.
    fn stop(mut self: Box<Self>) -> Result<()> {
        self.check()?;
        let cluster = self.cluster()?;
        let mut cat = cluster.node("cat");
        cat.arg(self.container.file(volume::COUNT));
        let count = Bounded::new(cat).run()?;
        let copy = volume::of(&self.directory).join(volume::COUNT);
        std::fs::write(&copy, count).with_context(|| format!("cannot write {}", copy.display()))?;
        cluster.delete("pod", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(state: &Value) -> Value {
        let container = json!({ "containerID": "containerd://c1", "state": state });
        json!({
            "metadata": { "uid": "u1" },
            "status": { "podIP": "10.244.0.7", "containerStatuses": [container] },
        })
    }

    #[test]
    fn only_a_container_that_runs_is_measured() {
        let running = Container::running(&pod(&json!({ "running": {} })));
        let running = running.expect("no error").expect("it runs");
        assert_eq!((running.id.as_str(), running.pod.as_str()), ("c1", "u1"));
        assert_eq!(running.address, Ipv4Addr::new(10, 244, 0, 7));
        let creating = json!({ "waiting": { "reason": "ContainerCreating" } });
        for early in [pod(&creating), json!({ "metadata": { "uid": "u1" } })] {
            assert_eq!(Container::running(&early).expect("no error"), None);
        }
    }

    #[test]
    fn a_container_that_cannot_run_is_an_error() {
        let waiting = json!({ "waiting": { "message": "no such image" } });
        let error = Container::running(&pod(&waiting)).expect_err("it waits");
        assert_eq!(error.to_string(), "no such image");
        let ended = json!({ "terminated": { "exitCode": 3 } });
        let error = Container::running(&pod(&ended)).expect_err("it ended");
        assert!(error.to_string().contains("\"exitCode\":3"), "{error}");
    }

    #[test]
    fn pods_differ_only_in_their_names_and_the_runtime() {
        let ours = manifest("pod-visits", Some("preopen"));
        let mut native = manifest("pod-native", None);
        assert_eq!(ours["spec"]["runtimeClassName"], "preopen");
        assert!(native["spec"]["runtimeClassName"].is_null());
        native["spec"]["runtimeClassName"] = "preopen".into();
        let text = native.to_string().replace("pod-native", "pod-visits");
        assert_eq!(text, ours.to_string());
    }
}
