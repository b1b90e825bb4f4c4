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
