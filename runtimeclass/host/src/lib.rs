//! Serves a Spin HTTP application with its `files` preopened: as the command `preopen`, inside a container, or inside your
//! own program.
//!
//! The package is `preopen-host`, so Rust code writes `preopen_host`. The command that it builds is `preopen`.
//!
//! # Embedding
//!
//! ```
//! use preopen_host::{Host, Manifest};
//! use tokio::net::TcpListener;
//!
//! # use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("spin.toml");
//! # std::fs::write(
//! #     &path,
//! #     r#"spin_manifest_version = 2
//! #     application.name = "hello"
//! #     [[trigger.http]]
//! #     route = "/..."
//! #     static_response.body = "hello""#,
//! # )?;
//! let manifest = Manifest::read(&path)?;
//! let host = Host::builder(manifest).load()?;
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! # let address = listener.local_addr()?;
//! # let shutdown = async move {
//! #     let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
//! #     let request = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
//! #     client.write_all(request).await.unwrap();
//! #     let mut answer = String::new();
//! #     client.read_to_string(&mut answer).await.unwrap();
//! #     assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("hello"), "{answer}");
//! # };
//! // It serves until `shutdown` resolves, then answers the requests in flight.
//! host.serve(listener, shutdown).await?;
//! # Ok(())
//! # }
//! ```
//!
//! `examples/embed.rs` is a whole program. [`HostBuilder`] has the options: directories, environment, limits, a cache for
//! compiled code. The library catches no signal, installs no logger and never exits the process; only [`cli`] and [`logs`]
//! do. It raises the process's limit of open files unless
//! [`HostBuilder::keep_open_files_limit`] is called.
//!
//! # Features
//!
//! Both are on by default.
//! - `cli`: the command, with its options and signal handlers
//! - `logs`: a logger for stderr. Without it, the caller subscribes to the library's `tracing` events.
//!
//! # Map
//!
//! A request passes through `connection` → `service` → `guest` → an instance of the component, and its response comes back
//! the same way.
//!
//! An application:
//! - [`manifest`]: `spin.toml`, the parts this host supports; an unsupported key is an error
//! - [`route`]: which paths reach a component
//! - `router`: the route of a path, among all routes of an application
//! - `route_headers`: the request headers that describe the route
//! - [`variables`]: an application's variables and the templates that use them
//! - `variable_interfaces`: the interfaces by which a component reads them
//! - [`outbound`]: which requests the component may send
//! - `preopens`: the directories that the component sees
//! - `grants`: all that one component is given
//! - `app`: an application that is loaded and checked
//!
//! Running a component:
//! - [`engine`]: the configuration of wasmtime, and the clock that interrupts a component
//! - [`wasm`]: the headers of components and modules
//! - [`cache`]: compiled code on disk
//! - `source`: a component's file
//! - `code`: where a component's code comes from
//! - `component`: from a wasm file to something that can be instantiated, or to one line that says what is wrong
//! - `state`: what an instance owns: its WASI world, its outbound requests and its memory
//! - `directory_sync`: syncs of directories, one at a time for each
//! - `stdio`: stdout and stderr, written by threads of their own
//! - `memory`: one memory budget for all instances
//! - `guest`: the threads that run instances, and the outcome of each request
//! - `send`: outbound requests, sent if they are allowed
//! - `trust`: the certificate authorities of outbound requests
//! - `watch`: which requests are overdue, and which instances do not react
//!
//! Serving:
//! - `host`: [`Host`] and its builder
//! - `limits`: [`Limits`]
//! - `descriptors`: room for every connection and file
//! - `server`: starting, serving and draining
//! - `startup_check`: one request of the host's own
//! - `connection`: connections, their limits and their end
//! - `service`: one request, from its arrival to its answer
//! - `head`: the rules for the head of a request
//! - `body`: the body of a request on its way in
//! - `response`: a component's response, checked on its way out
//! - `answer`: the responses that the host sends
//! - `well_known`: the host's own answers below `/.well-known/spin/`
//!
//! Running a WASI command, beside the served component:
//! - [`command`]: from code in the cache to an exit code
//!
//! The command `preopen`:
//! - [`cli`]: its options, and what it does
//! - [`logs`]: its log
//! - `signals`: the signals that stop it
//!
//! - `error`: [`Error`], which every fallible public function returns

pub mod cache;
#[cfg(feature = "cli")]
pub mod cli;
pub mod command;
pub mod engine;
#[cfg(feature = "logs")]
pub mod logs;
pub mod manifest;
pub mod outbound;
pub mod route;
pub mod variables;
pub mod wasm;

mod answer;
mod app;
mod body;
mod code;
mod component;
mod connection;
mod descriptors;
mod directory_sync;
mod error;
mod grants;
mod guest;
mod head;
mod host;
mod limits;
mod memory;
mod preopens;
mod response;
mod route_headers;
mod router;
mod send;
mod server;
mod service;
#[cfg(feature = "cli")]
mod signals;
mod source;
mod startup_check;
mod state;
mod stdio;
mod trust;
mod variable_interfaces;
mod watch;
mod well_known;

pub use error::{Cause, Error};
pub use host::{Host, HostBuilder};
pub use limits::{Limits, MemoryLimit};
pub use manifest::Manifest;
pub use server::Drained;
pub use trust::Authorities;
