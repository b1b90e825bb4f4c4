//! This node in Kubernetes: the label that the RuntimeClass selects, the runtimes that kubelet knows, and the policy that
//! limits what the pod's token can change.

use crate::api::{Api, Refusal};
use anyhow::{Result, bail};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The label that the RuntimeClass selects.
const LABEL: &str = "preopen/shim";
/// The value that it selects.
pub(crate) const READY: &str = "ready";
/// The RuntimeClass's handler.
const HANDLER: &str = "preopen";

/// A label that the policy of `own-node-only.yaml` must protect from this program. No node has it.
const OTHER_LABEL: &str = "preopen/other";
/// The words by which that policy names itself in a refusal.
const POLICY: &str = "ValidatingAdmissionPolicy 'preopen-node'";

/// How long the API may take to enforce the policy, which is applied together with the DaemonSet.
const POLICY_DEADLINE: Duration = Duration::from_secs(20);
/// How long kubelet may take to list the runtimes of the restarted containerd: it reads them every ten seconds, and on k3s it
/// restarts as well.
const RUNTIME_DEADLINE: Duration = Duration::from_secs(120);
/// The pause between two attempts.
const PAUSE: Duration = Duration::from_secs(2);

/// The node.
pub(crate) struct Node {
    api: Api,
    /// Its path in the API.
    path: String,
}

impl Node {
    /// Returns the node with this name.
    pub(crate) fn new(api: Api, name: &str) -> Self {
        let path = format!("/api/v1/nodes/{name}");
        Self { api, path }
    }

    /// Fails unless the API refuses to change another label of this node. Without the policy, the token could change
    /// everything about every node; Kubernetes before 1.30 has no such policy. The attempt is a dry run.
    pub(crate) fn check_policy(&self) -> Result<()> {
        let path = format!("{}?dryRun=All", self.path);
        let patch = json!({ "metadata": { "labels": { (OTHER_LABEL): "x" } } });
        retry(POLICY_DEADLINE, || {
            expect_refusal(self.api.patch(&path, &patch))
        })
    }

    /// Waits until kubelet reports that containerd has the runtime. kubelet reads the list from the running containerd,
    /// which proves more than a configuration file.
    pub(crate) fn wait_for_runtime(&self) -> Result<()> {
        retry(RUNTIME_DEADLINE, || {
            match runtime(&self.api.get(&self.path)?) {
                Runtime::Known => Ok(()),
                Runtime::Unlisted => {
                    println!(
                        "this kubelet or containerd does not list its runtimes; preopen-node has checked containerd itself"
                    );
                    Ok(())
                }
                Runtime::Unknown => bail!(
                    "kubelet has not listed the runtime {HANDLER} within {RUNTIME_DEADLINE:?} (see status.runtimeHandlers of the node)"
                ),
            }
        })
    }

    /// Sets the label to this value, or removes it.
    pub(crate) fn label(&self, value: Option<&str>) -> Result<()> {
        let patch = json!({ "metadata": { "labels": { (LABEL): value } } });
        self.api.patch(&self.path, &patch)?;
        match value {
            Some(value) => println!("the node has the label {LABEL}={value}"),
            None => println!("the label {LABEL} is removed from the node"),
        }
        Ok(())
    }
}

/// Repeats a failing attempt until the deadline, then returns the last error. The API may be unreachable for a moment: on a
/// single node of k3s it has just restarted.
fn retry(deadline: Duration, mut attempt: impl FnMut() -> Result<()>) -> Result<()> {
    let end = Instant::now() + deadline;
    loop {
        match attempt() {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() > end => return Err(error),
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

/// Fails unless the policy has refused this change. A refusal for another reason proves nothing about the policy.
fn expect_refusal(changed: Result<Value>) -> Result<()> {
    let Err(error) = changed else {
        bail!(
            "the policy preopen-node is not in force: the API would let this pod change the label {OTHER_LABEL} \
             (apply own-node-only.yaml; it needs Kubernetes 1.30 or newer)"
        );
    };
    let refusal = error.downcast_ref::<Refusal>();
    if refusal.is_some_and(|refusal| refusal.message.contains(POLICY)) {
        return Ok(());
    }
    Err(error.context("cannot determine whether the policy preopen-node is in force"))
}

/// What the node lists about the runtime.
#[derive(Debug, PartialEq)]
enum Runtime {
    Known,
    Unknown,
    /// The node lists no runtimes at all, as before Kubernetes 1.30 and containerd 2.0.
    Unlisted,
}

fn runtime(node: &Value) -> Runtime {
    let Some(handlers) = node["status"]["runtimeHandlers"].as_array() else {
        return Runtime::Unlisted;
    };
    // The entry without a name is the default.
    let mut named = handlers
        .iter()
        .filter_map(|handler| handler["name"].as_str())
        .filter(|name| !name.is_empty())
        .peekable();
    if named.peek().is_none() {
        Runtime::Unlisted
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
        let refusal = Refusal {
            status: 422,
            message: message.to_owned(),
        };
        Err(anyhow::Error::from(refusal)).context("PATCH https://api/node")
    }

    #[test]
    fn without_the_policy_nothing_is_labelled() {
        let error =
            expect_refusal(Ok(json!({ "kind": "Node" }))).expect_err("the change was let through");
        assert!(error.to_string().contains("not in force"), "{error}");
    }

    #[test]
    fn only_a_refusal_by_the_policy_itself_shows_that_it_is_in_force() {
        let by =
            "admission webhook \"nodes.example\" denied the request: ValidatingAdmissionPolicy";
        assert!(expect_refusal(refusal(by)).is_err());
        assert!(expect_refusal(refusal("nodes \"node\" is forbidden")).is_err());
        assert!(expect_refusal(Err(anyhow!("connection refused"))).is_err());
        let by = "nodes \"node\" is forbidden: ValidatingAdmissionPolicy 'preopen-node' with binding 'preopen-node' \
                  denied request: preopen-node may only set the label preopen/shim to ready, or remove it";
        expect_refusal(refusal(by)).expect("the policy has refused");
    }

    #[test]
    fn a_runtime_is_known_if_the_node_lists_it() {
        let runc = json!({ "name": "runc", "features": { "userNamespaces": true } });
        let listed = node(json!([{ "features": {} }, runc, { "name": "preopen" }]));
        assert_eq!(runtime(&listed), Runtime::Known);
        assert_eq!(runtime(&node(json!([{}, runc]))), Runtime::Unknown);
    }

    #[test]
    fn a_node_without_a_list_of_runtimes_proves_nothing() {
        for node in [json!({}), node(json!([])), node(json!([{ "name": "" }]))] {
            assert_eq!(runtime(&node), Runtime::Unlisted, "{node}");
        }
    }
}
