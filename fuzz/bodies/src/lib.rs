//! The readers of untrusted bytes, with assertions that hold for any bytes: parsers that root runs, and the counter's start.
//!
//! The parsers are files of the shim and the host, included by their paths. A target is therefore built in seconds,
//! without the engine and the container library. The counter runs on the directory of its native peer. A body takes any
//! bytes and panics if an assertion fails. It returns whether the bytes reached its assertions, so that the tests can check
//! that enough inputs do.

#![cfg(target_os = "linux")]

// At the top of the crate, as in the host, because the modules import each other from there.
#[allow(dead_code, missing_docs, reason = "a part of another crate")]
#[path = "../../../bench/native/src/directory.rs"]
mod directory;
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
#[path = "../../../bench/native/src/platform.rs"]
mod platform;
#[allow(dead_code, missing_docs, reason = "a part of another crate")]
#[path = "../../../runtimeclass/shim/src/request.rs"]
mod request;
#[allow(dead_code, missing_docs, reason = "a part of another crate")]
#[path = "../../../runtimeclass/host/src/route.rs"]
pub mod route;
#[allow(dead_code, missing_docs, reason = "a part of another crate")]
#[path = "../../../runtimeclass/host/src/variables.rs"]
pub mod variables;

mod calls;
mod counter;
mod host;
mod shim;
mod tree;

pub use calls::{options, request};
pub use counter::{accept, volume};
pub use host::{manifest_text, outbound_pattern};
pub use shim::{config, process, users};

// The shim's constants, which its modules import from the top of their crate.
const NAME: &str = "preopen";
const RUNTIME: &str = "io.containerd.preopen.v1";

/// A fuzz target.
pub struct Target {
    /// Its name, and that of its directory of seeds.
    pub name: &'static str,
    /// Its body. Returns whether the bytes reached the assertions.
    pub body: fn(&[u8]) -> bool,
    /// Parts of inputs with a meaning for the parser.
    pub words: &'static [&'static str],
}

/// Words of JSON documents about processes.
const JSON: &[&str] = &[
    "\"HOME=\"",
    "null",
    "[]",
    "{}",
    "\"env\":",
    "\"cgroup\"",
    "\"capabilities\":",
    "\"",
    "-1",
    "1e9",
];

/// All targets.
pub const TARGETS: [Target; 9] = [
    Target {
        name: "accept",
        body: accept,
        words: &["text/html", "*/*", ";q=", "0.001", ",", "NaN", "1e-1", "é"],
    },
    Target {
        name: "config",
        body: config,
        words: JSON,
    },
    Target {
        name: "manifest",
        body: manifest_text,
        words: &[
            "=",
            "[]",
            "{}",
            "\0",
            "\n",
            "..",
            "/",
            "*",
            "\"",
            "[[trigger.http]]",
            "\u{fe0f}",
            "é",
        ],
    },
    Target {
        name: "options",
        body: options,
        words: &[
            "\u{1a}",
            "\u{12}",
            "\u{7f}",
            "CacheDirectory",
            "SystemdCgroup",
            " = ",
            "\"/",
            "\n",
        ],
    },
    Target {
        name: "outbound",
        body: outbound_pattern,
        words: &[
            "*", ":", "/", "..", "0", "http://", "[::1]", "@", "%", "\n", "é",
        ],
    },
    Target {
        name: "process",
        body: process,
        words: JSON,
    },
    Target {
        name: "request",
        body: request,
        words: &["a", "/", "..", "0", "9", " ", "true", "é", "[]", "{}"],
    },
    Target {
        name: "users",
        body: users,
        words: &[":", "\n", "\0", "/", "..", "HOME", "=", "0", "é"],
    },
    Target {
        name: "volume",
        body: volume,
        words: &[
            "\n",
            "=",
            "/",
            ".visits/",
            "ticket.",
            "next.",
            "visits.bin",
            "-0000000000000001",
            "18446744073709551615",
            "%00",
            "%ff",
            "0",
            "9",
            ".taken-over-",
            ".visits-0000000000000001/",
        ],
    },
];
