//! This node in Kubernetes: its label, which the RuntimeClass sends pods by, the runtimes that kubelet sees, and the policy
//! that limits what the pod's token can change.

use crate::api::{Api, Refusal};
use anyhow::{Result, bail};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The label, as the RuntimeClass selects it.
const LABEL: &str = "preopen/shim";
/// Its value.
pub(crate) const READY: &str = "ready";
/// The RuntimeClass's handler.
const HANDLER: &str = "preopen";

/// A label that the policy of `own-node-only.yaml` has to protect from this program. No node has it.
const OTHER_LABEL: &str = "preopen/other";
/// How a refusal by that policy begins.
const POLICY: &str = "ValidatingAdmissionPolicy 'preopen-node'";

/// How long the API may take to enforce a policy: it is applied together with the DaemonSet.
const POLICY_DEADLINE: Duration = Duration::from_secs(20);
/// How long kubelet may take to see the restarted containerd: it asks every ten seconds, and restarts with it on k3s.
const DEADLINE: Duration = Duration::from_secs(120);
/// Between two looks.
const PERIOD: Duration = Duration::from_secs(2);

/// The node.
pub(crate) struct Node {
    api: Api,
    path: String,
}

impl Node {
    /// The one of this name.
    pub(crate) fn new(api: Api, name: &str) -> Self {
        let path = format!("/api/v1/nodes/{name}");
        Self { api, path }
    }

    /// Fails unless the API refuses to change another label of this node. Without the policy, the token could change
    /// everything of every node, and Kubernetes before 1.30 has no such policy. The change is tried without being made.
    pub(crate) fn check_policy(&self) -> Result<()> {
        let path = format!("{}?dryRun=All", self.path);
        let patch = json!({ "metadata": { "labels": { (OTHER_LABEL): "x" } } });
        retry(POLICY_DEADLINE, || {
            is_refused(self.api.patch(&path, &patch))
        })
    }

    /// Waits until kubelet reports that containerd has the runtime. It asks the running containerd, so this is true
    /// where a file would only be hoped for.
    pub(crate) fn wait_for_runtime(&self) -> Result<()> {
        retry(DEADLINE, || match runtime(&self.api.get(&self.path)?) {
            Runtime::Known => Ok(()),
            Runtime::Unsaid => {
                println!(
                    "this kubelet or containerd does not list its runtimes; preopen-node has asked containerd"
                );
                Ok(())
            }
            Runtime::Unknown => bail!(
                "kubelet has not seen the runtime {HANDLER} within {DEADLINE:?}; see status.runtimeHandlers of the node"
            ),
        })
    }

    /// Gives the label this value, or removes it.
    pub(crate) fn label(&self, value: Option<&str>) -> Result<()> {
        let patch = json!({ "metadata": { "labels": { (LABEL): value } } });
        self.api.patch(&self.path, &patch)?;
        match value {
            Some(value) => println!("the node has the label {LABEL}={value}"),
            None => println!("the node has no label {LABEL} any more"),
        }
        Ok(())
    }
}

/// Repeats what fails until the deadline, and returns the last error then. The API may be away for a moment: on a single
/// node of k3s it has just been restarted.
fn retry(deadline: Duration, mut attempt: impl FnMut() -> Result<()>) -> Result<()> {
    let end = Instant::now() + deadline;
    loop {
        match attempt() {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() > end => return Err(error),
            Err(_) => std::thread::sleep(PERIOD),
        }
    }
}

/// Whether the policy has refused a change. A refusal for another reason proves nothing about it.
fn is_refused(changed: Result<Value>) -> Result<()> {
    let Err(error) = changed else {
        bail!(
            "the policy preopen-node is not in force: the API would let this pod change the label {OTHER_LABEL} \
             (apply own-node-only.yaml, on Kubernetes 1.30 or newer)"
        );
    };
    let refusal = error.downcast_ref::<Refusal>();
    if refusal.is_some_and(|refusal| refusal.message.contains(POLICY)) {
        return Ok(());
    }
    Err(error.context("cannot find out whether the policy preopen-node is in force"))
}

/// What a node says of the runtime.
#[derive(Debug, PartialEq)]
enum Runtime {
    Known,
    Unknown,
    /// It lists none at all, as before Kubernetes 1.30 and containerd 2.0.
    Unsaid,
}

fn runtime(node: &Value) -> Runtime {
    let Some(handlers) = node["status"]["runtimeHandlers"].as_array() else {
        return Runtime::Unsaid;
    };
    // The one without a name is the default.
    let mut named = handlers
        .iter()
        .filter_map(|handler| handler["name"].as_str())
        .filter(|name| !name.is_empty())
        .peekable();
    if named.peek().is_none() {
        Runtime::Unsaid
    } else if named.any(|name| name == HANDLER) {
        Runtime::Known
    } else {
        Runtime::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, anyhow};

    fn node(handlers: Value) -> Value {
        json!({ "status": { "runtimeHandlers": handlers } })
    }

    fn refusal(message: &str) -> Result<Value> {
        let body = json!({ "message": message });
        let answer = format!("HTTP/1.0 422 Unprocessable Entity\r\n\r\n{body}");
        crate::api::parse(answer.as_bytes()).context("PATCH https://api/node")
    }

    #[test]
    fn without_the_policy_nothing_is_labelled() {
        let error =
            is_refused(Ok(json!({ "kind": "Node" }))).expect_err("the change was let through");
        assert!(error.to_string().contains("not in force"), "{error}");
    }

    #[test]
    fn the_policy_is_in_force_when_it_refuses_and_not_when_another_does() {
        let by =
            "admission webhook \"nodes.example\" denied the request: ValidatingAdmissionPolicy";
        assert!(is_refused(refusal(by)).is_err());
        assert!(is_refused(refusal("nodes \"node\" is forbidden")).is_err());
        assert!(is_refused(Err(anyhow!("connection refused"))).is_err());
        let by = "nodes \"node\" is forbidden: ValidatingAdmissionPolicy 'preopen-node' with binding 'preopen-node' \
                  denied request: preopen-node may only set the label preopen/shim to ready, or remove it";
        is_refused(refusal(by)).expect("the policy has refused");
    }

    #[test]
    fn a_runtime_is_known_when_the_node_lists_it() {
        let runc = json!({ "name": "runc", "features": { "userNamespaces": true } });
        let listed = node(json!([{ "features": {} }, runc, { "name": "preopen" }]));
        assert_eq!(runtime(&listed), Runtime::Known);
        assert_eq!(runtime(&node(json!([{}, runc]))), Runtime::Unknown);
    }

    #[test]
    fn a_node_that_lists_no_runtime_says_nothing() {
        for node in [json!({}), node(json!([])), node(json!([{ "name": "" }]))] {
            assert_eq!(runtime(&node), Runtime::Unsaid, "{node}");
        }
    }
}
