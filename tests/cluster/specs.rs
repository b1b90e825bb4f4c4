//! Pods that tests define themselves: components and native programs under the shim, without a StatefulSet.

use crate::images::{BUSYBOX, VISITS};
use serde_json::{Value, json};

/// The directory of [`pod`]'s volume in [`component`] and [`native`].
pub(crate) const VOLUME: &str = "/app/persistent";

/// Returns a pod of these containers, with a volume that ends with the pod.
pub(crate) fn pod(name: &str, containers: &[Value]) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name },
        "spec": {
            "runtimeClassName": "preopen",
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 1,
            "containers": containers,
            "volumes": [{ "name": "volume", "emptyDir": {} }],
        },
    })
}

/// Returns a container that serves the counter.
pub(crate) fn component(name: &str) -> Value {
    container(name, VISITS)
}

/// Returns a container that runs lines of shell.
pub(crate) fn native(name: &str, lines: &str) -> Value {
    let mut container = container(name, BUSYBOX);
    container["command"] = json!(["/bin/sh", "-euc", lines]);
    container
}

fn container(name: &str, image: &str) -> Value {
    json!({
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "volumeMounts": [{ "name": "volume", "mountPath": VOLUME }],
    })
}

/// Returns a probe or a hook that runs this command.
pub(crate) fn exec(words: &[&str]) -> Value {
    json!({ "exec": { "command": words } })
}
