//! The refusal of specifications that this runtime does not support. It comes before anything is created, so that no
//! part of a specification is silently ignored.

use super::isolation::label;
use anyhow::{Result, ensure};
use libcontainer::oci_spec::runtime::{LinuxNamespaceType, Spec};

/// Fails if the container would get only a part of its specification.
pub(super) fn check(spec: &Spec) -> Result<()> {
    check_users(spec)?;
    spec.process().as_ref().map_or(Ok(()), label::check)
}

fn check_users(spec: &Spec) -> Result<()> {
    let linux = spec.linux().as_ref();
    let namespaces = linux.and_then(|linux| linux.namespaces().as_deref());
    let mut kinds = namespaces.unwrap_or_default().iter();
    ensure!(
        !kinds.any(|namespace| namespace.typ() == LinuxNamespaceType::User),
        "the runtime {} does not support user namespaces: remove hostUsers: false, or use another RuntimeClass",
        crate::RUNTIME
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_user_namespace_is_refused() {
        let spec = |kind: &str| -> Spec {
            let spec = json!({"ociVersion": "1.0.2", "linux": {"namespaces": [{"type": kind}]}});
            serde_json::from_value(spec).expect("a specification")
        };
        check(&spec("pid")).expect("a PID namespace is supported");
        let error = check(&spec("user"))
            .expect_err("a user namespace")
            .to_string();
        assert!(error.contains("hostUsers: false"), "{error}");
    }
}
