//! What the tests share: real `preopen` processes under guard, the directories they serve, HTTP clients, a browser.
//!
//! - [`artifacts`]: where the built host and components are (environment variables that `cargo xtask test` sets)
//! - [`app`]: a directory with a `spin.toml` and a volume, one for each test
//! - [`host`]: [`Host`], a guard around one host process: start, wait for its log, signal, wait for its end
//! - [`output`]: the lines a process writes, kept for waiting on and for printing when a wait fails
//! - [`client`]: HTTP/1.1 over one keep-alive connection, one-shot requests, and raw TCP
//! - [`http2`]: HTTP/2 without TLS, any number of requests at once on one connection
//! - [`load`]: clients of the counter, and what they were told
//! - [`mount`]: a real, small file system on a volume
//! - [`chromium`], [`page`]: a real browser and its DevTools protocol; one tab of it
//! - [`command`], [`wait`]: any program with a deadline, and waiting for what nothing announces
//!
//! Every wait has a condition and a deadline; when the deadline passes the error carries the host's whole output.

pub mod app;
pub mod artifacts;
pub mod chromium;
pub mod client;
pub mod command;
pub mod host;
pub mod http2;
pub mod load;
pub mod mount;
pub mod output;
pub mod page;
pub mod wait;

pub use app::{App, write_manifest};
pub use client::{Connection, Raw, Reply, get};
pub use host::{Exit, Host, HostBuilder, Signal};
pub use http2::Http2;
pub use mount::Ext4;

use std::time::Duration;

/// How long a test waits for something that takes milliseconds on an idle machine: long, for CI machines are not idle.
pub const DEADLINE: Duration = Duration::from_secs(30);
