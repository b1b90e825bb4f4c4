//! The waits of `up` and `start`. Each has a deadline, and its error shows the logs of the programs involved.

use crate::apply::kubectl;
use crate::node::Node;
use crate::paths::{CONTAINERD_SOCKET, NODE};
use crate::state::State;
use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;
use std::fs;
use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::time::Duration;
use visits_support::{command, wait};

/// The deadline of each wait, which takes seconds on an idle machine.
const DEADLINE: Duration = Duration::from_secs(300);

/// The number of lines of each log in an error.
const TAIL: usize = 15;

/// Waits until containerd accepts connections, so that images can be imported.
pub(crate) fn containerd(state: &State, node: &Node) -> Result<()> {
    let socket = node.path(CONTAINERD_SOCKET);
    until(
        state,
        "containerd accepts connections",
        &["node", "containerd"],
        || Ok((UnixStream::connect(&socket).is_ok() || node.has_ended()).then_some(())),
    )?;
    ensure!(
        !node.has_ended(),
        "the node ended{}",
        tails(state, &["node"])
    );
    Ok(())
}

/// Waits until the API is ready.
pub(crate) fn api(state: &State) -> Result<()> {
    until(
        state,
        "the API is ready",
        &["etcd", "kube-apiserver"],
        || command::run(kubectl(state, &["get", "--raw", "/readyz"])?).map(Some),
    )
    .map(drop)
}

/// Returns the time of the node's last heartbeat, or an empty string if it has had none.
pub(crate) fn heartbeat(state: &State) -> Result<String> {
    command::run(kubectl(
        state,
        &[
            "get",
            "lease",
            "--namespace=kube-node-lease",
            NODE,
            "--ignore-not-found",
            "-o=jsonpath={.spec.renewTime}",
        ],
    )?)
}

/// Waits until the node is ready, by a heartbeat later than `before`.
pub(crate) fn node(state: &State, before: &str) -> Result<()> {
    until(
        state,
        "the node is Ready",
        &["kubelet", "containerd"],
        || {
            let beat = heartbeat(state)?;
            if beat.is_empty() || beat == before {
                return Ok(None);
            }
            let ready = "-o=jsonpath={.status.conditions[?(@.type=='Ready')].status}";
            let ready = command::run(kubectl(state, &["get", "node", NODE, ready])?)?;
            Ok((ready == "True").then_some(()))
        },
    )
}

/// Waits until this Deployment, StatefulSet or DaemonSet has all its pods.
pub(crate) fn rollout(state: &State, namespace: &str, what: &str) -> Result<()> {
    let seconds = DEADLINE.as_secs();
    let mut command = kubectl(
        state,
        &[
            "rollout",
            "status",
            what,
            "--namespace",
            namespace,
            &format!("--timeout={seconds}s"),
        ],
    )?;
    let output = command.output().context("cannot run kubectl")?;
    if output.status.success() {
        return Ok(());
    }
    let error = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let pods = command::run(kubectl(
        state,
        &["get", "pods", "--namespace", namespace, "-o=wide"],
    )?)?;
    let events = command::run(kubectl(
        state,
        &[
            "get",
            "events",
            "--namespace",
            namespace,
            "--field-selector=type=Warning",
        ],
    )?)?;
    Err(anyhow!(
        "{what} in {namespace}: {error}\n{pods}\n{events}{}",
        tails(state, &["kubelet"])
    ))
}

/// Returns the address that the load balancer assigns to a Service; if there are two, the primary family's.
pub(crate) fn address(state: &State, service: &str) -> Result<IpAddr> {
    until(
        state,
        &format!("the Service {service} has an address"),
        &["kube-controller-manager"],
        || {
            let text = command::run(kubectl(state, &["get", "service", service, "-o=json"])?)?;
            let json: Value = serde_json::from_str(&text)?;
            let address = json["status"]["loadBalancer"]["ingress"][0]["ip"].as_str();
            let address = address.map(|address| address.parse().context(address.to_owned()));
            address.transpose()
        },
    )
}

/// Waits until metrics-server has metrics of the node. Before that, its API is registered but fails, and Kubernetes cannot
/// delete namespaces.
pub(crate) fn metrics(state: &State) -> Result<()> {
    until(
        state,
        "metrics-server has metrics of the node",
        &["kubelet"],
        || {
            let nodes = command::run(kubectl(
                state,
                &["get", "--raw", "/apis/metrics.k8s.io/v1beta1/nodes"],
            )?)?;
            let nodes: Value = serde_json::from_str(&nodes)?;
            let items = nodes["items"].as_array();
            ensure!(
                items.is_some_and(|items| !items.is_empty()),
                "metrics-server has no metrics yet"
            );
            Ok(Some(()))
        },
    )
}

fn until<T>(
    state: &State,
    what: &str,
    logs: &[&str],
    attempt: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    wait::retry(what, DEADLINE, attempt).map_err(|error| anyhow!("{error:#}{}", tails(state, logs)))
}

/// Returns the last lines of these logs.
fn tails(state: &State, logs: &[&str]) -> String {
    let mut text = String::new();
    for name in logs {
        let path = state.logs().join(name).with_extension("log");
        let log = fs::read(&path).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        let last = lines[lines.len().saturating_sub(TAIL)..].join("\n");
        text += &format!("\n--- the end of {} ---\n{last}", path.display());
    }
    text
}
