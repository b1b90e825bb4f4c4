//! The refusal of specifications that this runtime does not support. It comes before anything is created, so that no
//! part of a specification is silently ignored.

use super::isolation::label;
use super::users::Users;
use anyhow::{Result, bail};
use libcontainer::oci_spec::runtime::{LinuxNamespaceType, Spec};

/// Fails if the container would get only a part of its specification. Returns its users on the node.
pub(super) fn check(spec: &Spec) -> Result<Users> {
    let users = Users::of(spec)?;
    spec.process().as_ref().map_or(Ok(()), label::check)?;
    let namespaces = spec
        .linux()
        .as_ref()
        .and_then(|it| it.namespaces().as_ref());
    let mut namespaces = namespaces.into_iter().flatten();
    if !namespaces.any(|it| it.typ() == LinuxNamespaceType::Mount) {
        bail!(
            "the container would share the node's mounts: give it a mount namespace in linux.namespaces"
        );
    }
    Ok(users)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn check_namespaces(namespaces: Value) -> Result<Users> {
        let spec = json!({"ociVersion": "1.0.2", "linux": {"namespaces": namespaces}});
        check(&serde_json::from_value(spec).expect("a specification"))
    }

    #[test]
    fn a_container_without_a_mount_namespace_is_refused() {
        check_namespaces(json!([{"type": "pid"}, {"type": "mount"}])).expect("it has one");
        for without in [json!([]), json!([{"type": "pid"}]), Value::Null] {
            let error = check_namespaces(without).expect_err("it has none");
            let error = error.to_string();
            assert!(
                error.contains("give it a mount namespace in linux.namespaces"),
                "{error}"
            );
        }
        let spec = serde_json::from_value(json!({"ociVersion": "1.0.2"})).expect("a specification");
        check(&spec).expect_err("it has no namespaces");
    }
}
