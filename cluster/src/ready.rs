//! What `up` and `start` wait for, each with a deadline and the logs of who is late.

use crate::apply::kubectl;
use crate::command;
use crate::node::Node;
use crate::programs::CONTAINERD;
use crate::state::State;
use crate::wait;
use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;
use std::fs;
use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// How long each thing may take that takes seconds on an idle machine.
const DEADLINE: Duration = Duration::from_secs(300);

/// Lines of a log that an error shows.
const TAIL: usize = 15;

/// Until containerd answers, so that images can be imported.
pub(crate) fn containerd(state: &State, node: &Node) -> Result<()> {
    let socket = node.path(CONTAINERD);
    until(
        state,
        "containerd answers, or the node has ended",
        &["node", "containerd"],
        || Ok((UnixStream::connect(&socket).is_ok() || node.has_ended()).then_some(())),
    )?;
    // What kept it from starting is the last that it has said.
    ensure!(
        !node.has_ended(),
        "the node has ended{}",
        tails(state, &["node"])
    );
    Ok(())
}

/// Until the API does.
pub(crate) fn api(state: &State) -> Result<()> {
    until(
        state,
        "the API answers",
        &["etcd", "kube-apiserver"],
        || command::run(kubectl(state, &["get", "--raw", "/readyz"])?).map(Some),
    )
    .map(drop)
}

/// When the node last said that it is there: what it says after a start differs from what it said before.
pub(crate) fn heartbeat(state: &State) -> Result<String> {
    command::run(kubectl(
        state,
        &[
            "get",
            "lease",
            "--namespace=kube-node-lease",
            crate::programs::NODE,
            "--ignore-not-found",
            "-o=jsonpath={.spec.renewTime}",
        ],
    )?)
}

/// Until the node says so, after it said `before`, and takes pods.
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
            let ready = command::run(kubectl(
                state,
                &["get", "node", crate::programs::NODE, ready],
            )?)?;
            Ok((ready == "True").then_some(()))
        },
    )
}

/// Until all of these deployments, stateful and daemon sets in a namespace have their pods.
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
    let output = command.output().context("run kubectl")?;
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

/// The address that the balancer gives to a service; of the primary family, if there are two.
pub(crate) fn address(state: &State, service: &str) -> Result<IpAddr> {
    until(
        state,
        &format!("the service {service} has an address"),
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

/// Until metrics-server has figures of the node: until then its API is one that is announced and does not answer, and
/// namespaces cannot be deleted.
pub(crate) fn metrics(state: &State) -> Result<()> {
    until(state, "metrics-server answers", &["kubelet"], || {
        let nodes = command::run(kubectl(
            state,
            &["get", "--raw", "/apis/metrics.k8s.io/v1beta1/nodes"],
        )?)?;
        let nodes: Value = serde_json::from_str(&nodes)?;
        let items = nodes["items"].as_array();
        ensure!(
            items.is_some_and(|items| !items.is_empty()),
            "it knows no node yet"
        );
        Ok(Some(()))
    })
}

fn until<T>(
    state: &State,
    what: &str,
    logs: &[&str],
    ask: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    wait::until(what, DEADLINE, ask).map_err(|error| anyhow!("{error:#}{}", tails(state, logs)))
}

/// The ends of these logs.
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
