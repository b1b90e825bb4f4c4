//! From nothing to counting pods, step by step, and each step again when it was interrupted.

use crate::node::Node;
use crate::programs::{Binaries, named_by};
use crate::state::State;
use crate::{apply, config, images, pki, ready, root};
use anyhow::{Context, Result};
use std::fs;
use std::net::SocketAddr;
use std::time::Instant;

/// Brings the cluster up; with the counter on it, unless it is to be empty.
pub(crate) fn run(state: &State, empty: bool) -> Result<()> {
    let binaries = Binaries::from_environment()?;
    state.make()?;
    let steps = Steps(Instant::now());
    steps.say("certificates and the node's disk");
    pki::make(state)?;
    root::make_disk(&state.disk())?;
    let node = boot(state, &binaries, &steps)?;
    steps.say("images");
    images::import_all(&node)?;
    steps.say("the add-ons: volumes, balancer, DNS, metrics");
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
        steps.say("the counter");
        apply::apply(state, "-k", &apply::repository("k8s"))?;
        ready::rollout(state, "default", "statefulset/visits")?;
    }
    steps.say("ready");
    println!("kubeconfig  {}", state.kubeconfig().display());
    if !empty {
        let address = SocketAddr::new(ready::address(state, "visits")?, 5000);
        println!("visits      http://{address}");
    }
    Ok(())
}

/// Starts a node that was stopped, with everything that it had.
pub(crate) fn start(state: &State) -> Result<()> {
    let steps = Steps(Instant::now());
    boot(state, &Binaries::from_environment()?, &steps)?;
    steps.say("ready");
    Ok(())
}

/// Starts the node, where it does not run, and waits until it takes pods.
fn boot(state: &State, binaries: &Binaries, steps: &Steps) -> Result<Node> {
    if let Some(node) = Node::find(state)? {
        install_shim(&node)?;
        ready::containerd(state, &node)?;
        ready::api(state)?;
        ready::node(state, "")?;
        return Ok(node);
    }
    steps.say("the node");
    let node = Node::start(state, binaries)?;
    install_shim(&node)?;
    ready::containerd(state, &node)?;
    ready::api(state)?;
    // What the API says of the node now, it says of the time before: kubelet has had no chance yet to say anything newer
    // than this, or has, and then says it again within seconds.
    let before = ready::heartbeat(state)?;
    ready::node(state, &before)?;
    Ok(node)
}

/// Puts the shim as it is built now where the node's containerd looks for it. A running one keeps the file that it has.
fn install_shim(node: &Node) -> Result<()> {
    let built = named_by("SHIM_BIN")?;
    let there = node.path(config::SHIM);
    let partial = there.with_extension("partial");
    let install = || {
        fs::create_dir_all(there.parent().unwrap_or(&there))?;
        fs::copy(&built, &partial)?;
        fs::rename(&partial, &there)
    };
    install().with_context(|| format!("copy {} to {}", built.display(), there.display()))
}

/// Lines that say what is done, with the time since the start.
struct Steps(Instant);

impl Steps {
    fn say(&self, what: &str) {
        eprintln!("[{:5.1} s] {what}", self.0.elapsed().as_secs_f64());
    }
}
