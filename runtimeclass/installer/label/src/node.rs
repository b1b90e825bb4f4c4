//! This node in Kubernetes: its label, which the RuntimeClass sends pods by, and the runtimes that kubelet sees.

use crate::api::Api;
use anyhow::{Result, bail};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The label, as the RuntimeClass selects it.
const LABEL: &str = "preopen/shim";
/// Its value.
pub(crate) const READY: &str = "ready";
/// The RuntimeClass's handler.
const HANDLER: &str = "preopen";

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

    /// Waits until kubelet reports that containerd has the runtime. It asks the running containerd, so this is true
    /// where a file would only be hoped for.
    pub(crate) fn wait_for_runtime(&self) -> Result<()> {
        let end = Instant::now() + DEADLINE;
        loop {
            // The API may be away for a moment: on a single node of k3s it has just been restarted.
            let seen = self.api.get(&self.path).map(|node| runtime(&node));
            match seen {
                Ok(Runtime::Known) => return Ok(()),
                Ok(Runtime::Unsaid) => {
                    println!(
                        "this kubelet or containerd does not list its runtimes; preopen-node has asked containerd"
                    );
                    return Ok(());
                }
                Ok(Runtime::Unknown) if Instant::now() > end => {
                    bail!(
                        "kubelet has not seen the runtime {HANDLER} within {DEADLINE:?}; see status.runtimeHandlers of the node"
                    )
                }
                Err(error) if Instant::now() > end => return Err(error),
                Ok(Runtime::Unknown) | Err(_) => std::thread::sleep(PERIOD),
            }
        }
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

    fn node(handlers: Value) -> Value {
        json!({ "status": { "runtimeHandlers": handlers } })
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
