//! The parsers that root runs on somebody else's bytes, each with what must hold of it whatever the bytes are.
//!
//! The parsers are the very files of the shim and the host, included by their paths: so a target is built in seconds,
//! without an engine and a container library that have nothing to do with it. Every body takes any bytes, returns if
//! they are not of the kind that its parser gets, and panics if something does not hold.

#![cfg(target_os = "linux")]

// Where they expect each other: at the top of their crate.
#[allow(dead_code, missing_docs, reason = "a part of another crate")]
#[path = "../../../runtimeclass/host/src/manifest.rs"]
pub mod manifest;
#[allow(dead_code, missing_docs, reason = "a part of another crate")]
#[path = "../../../runtimeclass/host/src/outbound.rs"]
pub mod outbound;
#[allow(dead_code, missing_docs, reason = "a part of another crate")]
#[path = "../../../runtimeclass/host/src/route.rs"]
pub mod route;
#[allow(dead_code, missing_docs, reason = "a part of another crate")]
#[path = "../../../runtimeclass/host/src/variables.rs"]
pub mod variables;

mod host;
mod shim;

pub use host::{manifest_text, outbound_pattern};
pub use shim::{config, process, users};

/// A body by its name.
pub type Body = (&'static str, fn(&[u8]));

/// All bodies, each by the name of its target and of its directory of seeds.
pub const BODIES: [Body; 5] = [
    ("config", config),
    ("manifest", manifest_text),
    ("outbound", outbound_pattern),
    ("process", process),
    ("users", users),
];
