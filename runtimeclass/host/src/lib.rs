//! Serves a Spin HTTP component with its `files` preopened: the command `preopen`, and the same inside a container.
//!
//! The way of a request: [`server`] → `guest` → `instance` → the component, and its answer back.
//!
//! What is served:
//! - [`manifest`]: `spin.toml`, the parts this host supports; an unsupported key is an error
//! - [`route`]: which paths reach a component
//! - `router`: the route of a path, among all of an application
//! - `route_headers`: the request headers that say which route it is
//! - [`variables`]: an application's variables and the templates that use them
//! - `variable_interfaces`: how a component asks for them
//! - [`outbound`]: which requests the component may send
//! - [`preopens`]: the directories it sees
//! - [`app`]: all of it loaded and checked, ready to be served
//!
//! Running a component:
//! - [`engine`]: how wasmtime is configured, and the clock that interrupts it
//! - [`cache`]: compiled code on disk
//! - [`code`]: where a component's code comes from
//! - `component`: from a wasm file to something that can be instantiated, or one line that says why not
//! - `state`: what an instance owns: its WASI world, its way out and its memory
//! - `memory`: one budget of memory for all instances
//! - `instance`: one instance of WASI 0.3, answering everything it is sent at once
//! - `single`: instances of WASI 0.2, one for each request
//! - `guest`: the threads that instances run on, and what becomes of a request
//! - `send`: outbound requests, sent if they are allowed
//! - [`trust`]: the certificate authorities of outbound requests
//! - `watch`: which requests are overdue, and which instances do not react to it
//!
//! Serving:
//! - [`descriptors`]: room for every connection and file, made before serving
//! - [`settings`]: the limits
//! - [`server`]: [`serve`], routing and draining
//! - `connection`: connections, their limits and their end
//! - `head`: what the head of a request must be
//! - `body`: the body of a request on its way in
//! - `response`: a component's response, checked on its way out
//! - `answer`: the responses the host sends
//! - `well_known`: what it answers below `/.well-known/spin/`
//!
//! Running a WASI command, beside the served component:
//! - [`command`]: from code in the cache to an exit code
//!
//! The command `preopen`:
//! - [`cli`]: its options, and what it does
//! - [`logs`]: its log
//! - [`signals`]: how it is stopped
//!
//! A caller of its own opens the [`cache::Cache`], reads a [`manifest::Manifest`], makes an [`App`] of both, binds a
//! listener and calls [`serve`], in a process for which it has called [`descriptors::make_room`]. Only [`cli`] exits the
//! process, and only on a caller's demand is a logger installed or the process's limit changed.

pub mod app;
pub mod cache;
pub mod cli;
pub mod code;
pub mod command;
pub mod descriptors;
pub mod engine;
pub mod logs;
pub mod manifest;
pub mod outbound;
pub mod preopens;
pub mod route;
pub mod server;
pub mod settings;
pub mod signals;
pub mod trust;
pub mod variables;

mod answer;
mod body;
mod component;
mod connection;
mod guest;
mod head;
mod instance;
mod memory;
mod response;
mod route_headers;
mod router;
mod send;
mod single;
mod state;
mod variable_interfaces;
mod watch;
mod well_known;

pub use app::{App, Overrides};
pub use server::{Drained, serve};
pub use settings::{Limits, MemoryLimit};
