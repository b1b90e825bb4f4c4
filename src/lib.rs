//! `visits`: a visit counter as a WebAssembly component. Every visit is counted exactly once, durably, in a
//! directory that the host preopens at `/app/persistent`.
//!
//! # Layout
//! From a request to the disk and back:
//! - [`component`]: the handler that the host calls.
//! - [`responder`]: the response to each request; `route` has the paths. [`accept`] decides the form of a number and
//!   [`prefetch`] whether a request is a visit. [`page`] is the response for people and [`metrics`] the one for
//!   Prometheus. [`response`] makes responses and [`config`] reads the environment.
//! - [`protocol`]: how visits are counted, over a few traits. It is independent of HTTP, Prometheus and WASI.
//! - [`wasi`]: those traits on WASI 0.3.
//!
//! Everything also compiles natively. Outside a component, calls into WASI panic; the tests run the protocol and the
//! responder on a simulated volume instead.

pub mod accept;
pub mod component;
pub mod config;
pub mod metrics;
pub mod page;
pub mod prefetch;
pub mod protocol;
pub mod responder;
pub mod response;
mod route;
pub mod wasi;
