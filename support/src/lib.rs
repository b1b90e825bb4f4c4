//! What `cargo xtask`, the cluster tool and the tests share. The host and the shim are products and do not use it.
//!
//! - [`environment`]: the variables through which `cargo xtask` passes paths to the programs and suites it starts
//! - [`wait`]: waiting with a deadline for something that sends no notification
//! - [`files`]: files that are replaced atomically, and copies of directories
//! - [`cgroup`]: cgroups of both versions, as directories
//! - [`command`]: programs with a deadline
//! - `mount`: temporary file systems, on Linux
//! - [`mutation`]: mutated inputs for parsers
//! - [`process`]: the current user, orphaned processes, and the exit code of a command
//! - [`programs`]: programs on the `PATH`
//! - [`xdg`]: the directories for a user's caches and state

pub mod cgroup;
pub mod command;
pub mod environment;
pub mod files;
#[cfg(target_os = "linux")]
pub mod mount;
pub mod mutation;
pub mod process;
pub mod programs;
pub mod wait;
pub mod xdg;
