//! A containerd shim, runtime type `io.containerd.preopen.v1`: it runs Spin HTTP components from ordinary OCI images, in
//! ordinary containers, with the pod's volumes preopened, and native containers beside them as runc would.
//!
//! One binary in three roles, told apart by its arguments:
//!
//! ```text
//! containerd ──start──► the shim's server, one a pod            for every container it makes:
//!                       └─ task API: create, start, kill, … ──► container create ─forks─► the container's process
//!                                                               container start │ delete   (a child of the server)
//!                                                               └─ container compile, without any rights
//! ```
//!
//! The server (tokio, ttrpc) never forks: it starts this binary anew, with an empty environment, for everything that
//! libcontainer does, which wants a process with one thread and changes its directory. That child forks the
//! container's process and ends. So nothing of the node's environment is anywhere in a container, no loop waits
//! in a container's process for another turn, and a panic there has nothing to return into: the process ends.
//!
//! The server:
//! - [`mod@shim`]: what containerd asks of the binary: start a server, clean up after one that died
//! - `service`: the task API over the tasks
//! - `task`: one container: its states, its signals, its end
//! - `tasks`: all of them
//! - `exits`: which child process ended how
//! - `cgroup`: what the kernel says of a container: its processes, whether memory ran out
//! - `stats`: its figures, as containerd wants them
//! - `events`: what containerd is told without asking
//! - `options`: the runtime's options in containerd's configuration
//! - `stdio`: a container's standard streams
//! - `helper`: calls of this binary in the role below
//!
//! A process of its own, and a container's:
//! - [`request`]: what the server asks of it
//! - `container`: making, starting and removing containers, and what runs inside
//!
//! # Why not containerd-shim-wasm or containerd-shimkit
//!
//! runwasi's crates own the task service and keep it private. It has no place for `Task/Exec`; it never says that a
//! container ran out of memory; a container that was created and not started cannot be killed; cleaning up after a
//! killed shim is left undone, container and all; and a panic in the container's process returns into the zygote's
//! loop, after which the task can be neither stopped nor deleted. So this crate stands on the two that those crates
//! stand on themselves: `containerd-shim` (the protocol) and `libcontainer` (the container).
//!
//! # Where exec will go
//!
//! `Task/Exec` adds a second process to a container. A [`request::Request`] of its own, which libcontainer's
//! `as_tenant` answers in a process of its own like the others; `task` keeps such processes beside the first one by
//! their exec id, and every call that now refuses an exec id ([`service`](shim)) looks there. What runs is up to the
//! executor in `container`, as for the first process.
#![cfg(target_os = "linux")]

pub mod request;
pub mod shim;

mod cgroup;
mod container;
mod events;
mod exits;
mod helper;
mod options;
mod service;
mod stats;
mod stdio;
mod task;
mod tasks;

use std::process::ExitCode;

/// The runtime's type, which containerd makes the binary's name of.
pub const RUNTIME: &str = "io.containerd.preopen.v1";

/// The name under which containers and the kernel's process list know it.
pub const NAME: &str = "preopen";

/// Runs the binary in the role that its arguments ask for.
pub fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    if arguments.first().is_some_and(|first| first == helper::ROLE) {
        return container::main(&arguments[1..]);
    }
    shim::main(&arguments)
}
