//! The refusal of specifications that this runtime does not support. It comes before anything is created, so that no
//! part of a specification is silently ignored.

use super::isolation::label;
use super::users::Users;
use anyhow::Result;
use libcontainer::oci_spec::runtime::Spec;

/// Fails if the container would get only a part of its specification. Returns its users on the node.
pub(super) fn check(spec: &Spec) -> Result<Users> {
    let users = Users::of(spec)?;
    spec.process().as_ref().map_or(Ok(()), label::check)?;
    Ok(users)
}
