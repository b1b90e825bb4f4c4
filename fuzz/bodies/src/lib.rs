//! The parsers that root runs on untrusted bytes, with assertions that hold for any bytes.
//!
//! The parsers are files of the shim and the host, included by their paths. A target is therefore built in seconds,
//! without the engine and the container library. A body takes any bytes and panics if an assertion fails. It returns
//! whether the bytes reached its assertions, so that the tests can check that enough inputs do.

#![cfg(target_os = "linux")]

// At the top of the crate, as in the host, because the modules import each other from there.
#[allow(dead_code, missing_docs, reason = "a part of another crate")]
#[path = "../../../runtimeclass/host/src/error.rs"]
pub mod error;
#[allow(
    dead_code,
    missing_docs,
    unused_imports,
    reason = "a part of another crate"
)]
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

/// A name and a body.
pub type Body = (&'static str, fn(&[u8]) -> bool);

/// All bodies. The name is that of the target and of its directory of seeds.
pub const BODIES: [Body; 5] = [
    ("config", config),
    ("manifest", manifest_text),
    ("outbound", outbound_pattern),
    ("process", process),
    ("users", users),
];
