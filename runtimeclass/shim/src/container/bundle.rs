//! The two things that the shim gets for a container: its specification and its files.
//!
//! - `spec`: readers of the specification
//! - `rewrite`: changes to `config.json` that make libcontainer do as runc would
//! - `capabilities`: the capabilities of a process that executes no program
//! - `home`: the home directory of a process's user
//! - `rootfs`: files below a container's root directory, opened from outside

pub(super) mod capabilities;
pub(super) mod home;
pub(super) mod rewrite;
pub(super) mod rootfs;
pub(super) mod spec;
