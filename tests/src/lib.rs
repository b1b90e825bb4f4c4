//! The library of the test suites: real `preopen` processes, the directories they serve, HTTP clients, and a browser.
//!
//! - [`artifacts`]: paths of everything that is built
//! - [`handwritten`]: components and commands, written byte by byte
//! - [`app`]: a directory with a `spin.toml` and a volume, one for each test
//! - [`host`]: [`Host`], a guard around one host process: start, wait for its log, signal, wait for its end
//! - [`output`]: the lines of a process, to wait for and to print when a wait fails
//! - [`client`]: HTTP/1.1 over one keep-alive connection, one-shot requests, and raw TCP
//! - [`http2`]: HTTP/2 without TLS, with any number of concurrent requests on one connection
//! - [`history`]: a record of visits: who sent each when, and what came back
//! - [`judge`]: porcupine's verdict on such a record
//! - [`kills`]: kills at random moments under load
//! - [`load`]: clients of the counter, and the responses they got
//! - [`mount`]: a real, small file system on a volume
//! - [`chromium`], [`page`]: a real browser and its DevTools protocol; one tab of it
//! - [`command`], [`wait`]: programs with a deadline, and waiting for something that sends no notification
//!
//! Every wait has a condition and a deadline. When the deadline passes, the error contains the host's whole output.

pub mod app;
pub mod artifacts;
pub mod chromium;
pub mod client;
pub mod command;
pub mod handwritten;
pub mod history;
pub mod host;
pub mod http2;
pub mod judge;
pub mod kills;
pub mod load;
pub mod mount;
pub mod output;
pub mod page;
pub mod wait;

pub use app::{App, make_fifo, write_manifest};
pub use client::{Connection, Raw, Reply, get};
pub use host::{Exit, Host, HostBuilder, Signal};
pub use http2::Http2;
pub use mount::Ext4;
pub use visits_support::environment;

use std::time::Duration;

/// The deadline for something that takes milliseconds on an idle machine. It is long, because CI machines are busy.
pub const DEADLINE: Duration = Duration::from_secs(30);
