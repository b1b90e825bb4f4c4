//! The machine code that a container's processes map: found, compiled and kept on the node.
//!
//! - `store`: code from the node's cache, and into it
//! - `compile`: code from a compiler without rights, in a process of its own
//! - `prepare`: the code of a container's components, before the container is entered
//! - `program`: the program that an exec means: native, a WASI command, or a tool of the toolbox
//! - `toolbox`: the tools that the shim brings

pub(super) mod compile;
pub(super) mod prepare;
pub(super) mod program;
pub(super) mod store;
mod toolbox;
