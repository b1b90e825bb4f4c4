//! The steps from nothing to counting pods. An interrupted step is repeated by the next `up`.

use crate::binaries::Binaries;
use crate::node::Node;
use crate::paths::SHIM;
use crate::state::State;
use crate::{apply, images, pki, ready, root};
use anyhow::{Context, Result};
use std::fs;
use std::net::SocketAddr;
use std::time::Instant;
use visits_support::{environment, files};

/// Brings the cluster up, with the counter on it unless `empty` is set.
pub(crate) fn run(state: &State, empty: bool) -> Result<()> {
    let binaries = Binaries::from_environment()?;
    state.make()?;
    let steps = Steps(Instant::now());
    steps.log("certificates and the node's disk");
    pki::make(state)?;
    root::make_disk(&state.disk())?;
    let node = boot(state, &binaries, &steps)?;
    steps.log("images");
    images::import_all(&node)?;
    steps.log("the add-ons: volumes, load balancer, DNS, metrics");
    apply::addons(state)?;
    for (namespace, what) in [
        ("metallb-system", "deployment/controller"),
        ("metallb-system", "daemonset/speaker"),
        ("local-path-storage", "deployment/local-path-provisioner"),
        ("kube-system", "deployment/coredns"),
        ("kube-system", "deployment/metrics-server"),
    ] {
        ready::rollout(state, namespace, what)?;
    }
    apply::balancer(state)?;
    ready::metrics(state)?;
    apply::apply(
        state,
        "-f",
        &apply::repository("runtimeclass/runtimeclass.yaml"),
    )?;
    if !empty {
        steps.log("the counter");
        apply::apply(state, "-k", &apply::repository("k8s"))?;
        ready::rollout(state, "default", "statefulset/visits")?;
    }
    steps.log("ready");
    println!("kubeconfig  {}", state.kubeconfig().display());
    if !empty {
        let address = SocketAddr::new(ready::address(state, "visits")?, 5000);
        println!("visits      http://{address}");
    }
    Ok(())
}

/// Starts a stopped node, with its disk as it was.
pub(crate) fn start(state: &State) -> Result<()> {
    let steps = Steps(Instant::now());
    boot(state, &Binaries::from_environment()?, &steps)?;
    steps.log("ready");
    Ok(())
}

/// Starts the node unless it runs, and waits until it accepts pods.
fn boot(state: &State, binaries: &Binaries, steps: &Steps) -> Result<Node> {
    if let Some(node) = Node::find(state)? {
        install_shim(&node)?;
        ready::containerd(state, &node)?;
        ready::api(state)?;
        ready::node(state, "")?;
        return Ok(node);
    }
    steps.log("the node");
    let node = Node::start(state, binaries)?;
    install_shim(&node)?;
    ready::containerd(state, &node)?;
    ready::api(state)?;
    // At this point the API may still hold the heartbeat from before the start. If it already holds a newer one, the next
    // follows within seconds.
    let before = ready::heartbeat(state)?;
    ready::node(state, &before)?;
    Ok(node)
}

/// Copies the built shim to the path in the node's containerd configuration. A running shim keeps its old file.
fn install_shim(node: &Node) -> Result<()> {
    let target = node.path(SHIM);
    if let Some(directory) = target.parent() {
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
    }
    files::copy(&environment::SHIM.path()?, &target)
}

/// Logs each step with the time since the start.
struct Steps(Instant);

impl Steps {
    fn log(&self, what: &str) {
        eprintln!("[{:5.1} s] {what}", self.0.elapsed().as_secs_f64());
    }
}
