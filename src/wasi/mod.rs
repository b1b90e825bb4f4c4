//! The protocol's traits, requests and responses on WASI 0.3.
//!
//! All file calls here are asynchronous, so that the instance serves other requests while the disk works. Those of
//! `std::fs` would block the whole instance.

mod directory;
pub mod http;
mod platform;

pub use platform::Wasi;
