//! The protocol's two traits on WASI 0.3.
//!
//! All file calls here are the asynchronous ones: while the disk works, the instance goes on serving. (Those of
//! `std::fs` would block the whole instance, every visitor in it.)

mod directory;
mod platform;

pub(crate) use platform::Wasi;
