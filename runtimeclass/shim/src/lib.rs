//! A containerd shim, runtime type `io.containerd.preopen.v1`. It runs Spin HTTP components from ordinary OCI images, in
//! ordinary containers, with the pod's volumes preopened. Native containers run beside them as they would with runc.
//!
//! The binary has three roles. Its arguments select one:
//!
//! ```text
//! containerd ──start──► the server, one per pod                 for each request, a helper:
//!                       └─ task API: create, start, kill, … ──► container create ─forks─► the container's process
//!                                                               container start │ exec │ …  (a child of the server)
//!                                                               └─ container compile, without any rights
//! ```
//!
//! The server (tokio, ttrpc) never forks. libcontainer needs a process with one thread and changes its directory, so the
//! server runs this binary again, with an empty environment, for everything that libcontainer does. This helper forks
//! the container's process and exits. Therefore a container sees nothing of the node's environment, and a panic in the
//! container's process ends that process instead of returning into a loop.
//!
//! The server:
//! - `shim`: the calls by which containerd starts a server, and cleans up after one that died
//! - `features`: the runtime's features, for containerd and Kubernetes
//! - `server`: the server's socket and life
//! - `service`: the task API, call by call
//! - `task`: one container: its states, signals, pauses and end
//! - `exec`: one process that was added to a container
//! - `entrance`: the way into a container for an added process, shut while the container is paused or has ended
//! - `process`: the common part of both: a process, its state, its exit
//! - `signals`: signals for all processes of a container
//! - `registry`: tasks and processes by id
//! - `streams`, `stdio`, `terminal`, `outputs`: a process's standard streams, and the server's side of them
//! - `exits`: the exit codes of child processes
//! - `cgroup`: the kernel's record of a container: its processes, its OOM kills, its freezer
//! - `stats`: a container's metrics, as containerd reads them
//! - `events`: messages to containerd that no call requested
//! - `refusal`: errors with containerd's codes
//! - `options`: the runtime's options in containerd's configuration
//! - `helper`: calls of this binary in the helper's role
//! - `read_only`: files on mounts to which no container can write
//! - `detached`: mounts outside of every tree
//!
//! The helper and the container's processes:
//! - `request`: the messages between the server and a helper
//! - `container`: creating, starting, entering and removing containers, and the processes inside
//!
//! # Why not containerd-shim-wasm or containerd-shimkit
//!
//! runwasi's crates own the task service and keep it private. They lack what a node needs:
//! - `Task/Exec` cannot be added.
//! - A container that ran out of memory is not reported.
//! - A container that was created and not started cannot be killed.
//! - After a shim was killed, its containers are not cleaned up.
//! - A panic in a container's process returns into the zygote's loop. After that the task can be neither stopped nor
//!   deleted.
//!
//! So this crate uses the two crates below them: `containerd-shim` (the protocol) and `libcontainer` (the container).
#![cfg(target_os = "linux")]

mod cgroup;
mod container;
mod detached;
mod entrance;
mod events;
mod exec;
mod exits;
mod features;
mod helper;
mod options;
mod outputs;
mod process;
mod read_only;
mod refusal;
mod registry;
mod request;
mod server;
mod service;
mod shim;
mod signals;
mod stats;
mod stdio;
mod streams;
mod task;
mod terminal;

use std::process::ExitCode;

/// The runtime's type. containerd derives the binary's name from it.
pub const RUNTIME: &str = "io.containerd.preopen.v1";

/// The runtime's name in the paths of its containers and in the process list.
pub const NAME: &str = "preopen";

/// Runs the binary in the role that its arguments select.
pub fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    if arguments.first().is_some_and(|first| first == helper::ROLE) {
        return container::main(&arguments[1..]);
    }
    shim::main(&arguments)
}
