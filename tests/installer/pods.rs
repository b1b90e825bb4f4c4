//! A pod with the counter, made through the CRI with the name of the runtime, as kubelet does it.

use crate::node::Node;
use anyhow::{Context, Result};
use oci_writer::Image;
use serde_json::{Value, json};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use visits_tests::{DEADLINE, artifacts, environment, get, wait};

const VISITS: &str = "localhost/visits:test";
const PAUSE: &str = "localhost/pause:test";
/// The CRI's `NamespaceMode` for the node's network, which is also that of the tests.
const OF_THE_NODE: u32 = 2;

/// Imports the images into a node's containerd.
pub(crate) async fn import(node: &Node) -> Result<()> {
    let busybox = read(&artifacts::busybox()?)?;
    let wait = "trap 'exit 0' TERM; /sleep 2147483647 & wait";
    let pause = Image::new(PAUSE)
        .entrypoint(["/sh", "-c", wait])
        .file("/sh", busybox, 0o755)
        .symlink("/sleep", "sh")
        .uncompressed();
    let manifest = "spin_manifest_version = 2\n[application]\nname = \"visits\"\n\
                    [[trigger.http]]\nroute = \"/...\"\ncomponent = \"visits\"\n[component.visits]\n\
                    source = \"visits.wasm\"\nfiles = [{ source = \"persistent\", destination = \"/app/persistent\" }]\n";
    let visits = Image::new(VISITS)
        .entrypoint(["/app/spin.toml"])
        .working_directory("/app")
        .file("/app/spin.toml", manifest, 0o644)
        .file("/app/visits.wasm", read(&artifacts::visits_wasm()?)?, 0o644)
        .directory("/app/persistent", 0, 0, 0o755);
    for image in [pause, visits] {
        image.write_layout_tar(&node.path("/var/image.tar"))?;
        node.run(
            "ctr",
            ["-n", "k8s.io", "images", "import", "/var/image.tar"],
        )
        .await?;
    }
    Ok(())
}

/// A pod. It need not be removed: the node is discarded with everything that runs on it.
#[derive(Debug)]
pub(crate) struct Pod {
    id: String,
}

impl Pod {
    /// Starts a pod of the runtime with one container, which serves on this address.
    pub(crate) async fn start(node: &Node, address: SocketAddr) -> Result<Self> {
        let cgroup = environment::CONTAINERD_CGROUP.text()?;
        let port = address.port();
        let pod = json!({
            "metadata": { "name": format!("pod-{port}"), "uid": "1", "namespace": "tests", "attempt": 0 },
            "log_directory": "/var/logs",
            "linux": {
                "cgroup_parent": format!("/{cgroup}/installer-{port}"),
                "security_context": { "namespace_options": { "network": OF_THE_NODE } },
            },
        });
        let container = json!({
            "metadata": { "name": "visits" },
            "image": { "image": VISITS },
            "envs": [{ "key": "SPIN_HTTP_LISTEN_ADDR", "value": address.to_string() }],
            "log_path": "visits.log",
            "linux": {},
        });
        write(node, "/var/pod.json", &pod)?;
        write(node, "/var/container.json", &container)?;
        let run = ["runp", "--runtime", "preopen", "/var/pod.json"];
        let id = crictl(node, &run).await?.trim().to_owned();
        let pod = Self { id };
        let create = [
            "create",
            "--no-pull",
            &pod.id,
            "/var/container.json",
            "/var/pod.json",
        ];
        let container = crictl(node, &create).await?;
        crictl(node, &["start", container.trim()]).await?;
        Ok(pod)
    }

    /// Makes a visit and returns the response.
    pub(crate) async fn visit(&self, node: &Node, address: SocketAddr) -> Result<String> {
        let visit = wait::until("the pod answers", DEADLINE, async || {
            Ok(get(address, "/").await.ok())
        });
        let reply = visit.await.map_err(|error| {
            let log = node.read("/var/logs/visits.log").unwrap_or_default();
            node.failed(&error.context(format!("the container's log: {log}")))
        })?;
        Ok(reply.text().trim().to_owned())
    }

    /// Stops and removes the pod.
    pub(crate) async fn remove(self, node: &Node) -> Result<()> {
        crictl(node, &["rmp", "--force", &self.id]).await.map(drop)
    }
}

async fn crictl(node: &Node, arguments: &[&str]) -> Result<String> {
    let options = [
        "--runtime-endpoint",
        "unix:///run/containerd/containerd.sock",
        "--timeout",
        "40s",
    ];
    node.run("crictl", options.iter().chain(arguments)).await
}

fn write(node: &Node, path: &str, value: &Value) -> Result<()> {
    fs::write(node.path(path), value.to_string()).with_context(|| format!("cannot write {path}"))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
