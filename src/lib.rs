//! `visits`: a visit counter as a WebAssembly component. Every visit is counted exactly once, durably, in a
//! directory that the host preopens at `/app/persistent`.
//!
//! # Layout
//! From a request to the disk and back:
//! - [`routes`]: what each request asks for, and its answer; [`accept`] says in which form, [`prefetch`] whether
//!   it is a visit at all; [`answer`] is an answer before it is HTTP; [`page`] is the one for people, [`metrics`] the
//!   one for Prometheus. [`settings`] is what the environment sets.
//! - [`protocol`]: how visits are counted, over two small traits; nothing in it knows of WASI or HTTP.
//! - `wasi`: those traits on WASI 0.3, and `component`: the handler itself. Both exist on wasm only; everything
//!   above them is also built, and tested, natively.

pub mod accept;
pub mod answer;
pub mod component;
pub mod metrics;
pub mod page;
pub mod prefetch;
pub mod protocol;
pub mod routes;
pub mod settings;
pub mod wasi;
