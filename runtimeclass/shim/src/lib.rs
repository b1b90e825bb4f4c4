//! A containerd shim, runtime type `io.containerd.preopen.v1`: it runs Spin HTTP components from ordinary OCI images, in
//! ordinary containers, with the pod's volumes preopened, and native containers beside them as runc would.
//!
//! One binary in three roles, told apart by its arguments:
//!
//! ```text
//! containerd ──start──► the shim's server, one a pod            for every container it makes:
//!                       └─ task API: create, start, kill, … ──► container create ─forks─► the container's process
//!                                                               container start │ exec │ …  (a child of the server)
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
//! - `features`: what this runtime can do, for containerd and Kubernetes
//! - `service`: the task API, call by call
//! - `task`: one container: its states, its signals, its pauses, its end
//! - `exec`: one more process of a container
//! - `process`: what the two have in common: a process, its state, its exit
//! - `signals`: signals for all processes of a container
//! - `registry`: tasks and processes by their ids
//! - `streams`, `stdio`, `terminal`: a process's standard streams, and the server's side of them
//! - `exits`: which child process ended how
//! - `cgroup`: what the kernel knows of a container: its processes, whether memory ran out; and its freezer
//! - `stats`: a container's figures, as containerd takes them
//! - `events`: what is published to containerd unasked
//! - `refusal`: errors with containerd's codes
//! - `options`: the runtime's options in containerd's configuration
//! - `helper`: calls of this binary in the role below
//! - `read_only`: files on mounts that nobody in a container can write to
//!
//! A process of its own, and a container's:
//! - [`request`]: what the server asks of it
//! - `container`: making, starting, entering and removing containers, and what runs inside
//!
//! # Why not containerd-shim-wasm or containerd-shimkit
//!
//! runwasi's crates own the task service and keep it private. It has no place for `Task/Exec`; it never says that a
//! container ran out of memory; a container that was created and not started cannot be killed; cleaning up after a
//! killed shim is left undone, container and all; and a panic in the container's process returns into the zygote's
//! loop, after which the task can be neither stopped nor deleted. So this crate stands on the two that those crates
//! stand on themselves: `containerd-shim` (the protocol) and `libcontainer` (the container).
#![cfg(target_os = "linux")]

pub mod request;
pub mod shim;

mod cgroup;
mod container;
mod events;
mod exec;
mod exits;
mod features;
mod helper;
mod options;
mod process;
mod read_only;
mod refusal;
mod registry;
mod service;
mod signals;
mod stats;
mod stdio;
mod streams;
mod task;
mod terminal;

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
