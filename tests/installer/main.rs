//! The installer's script on nodes of every kind, each with a real containerd and the files where that distribution has
//! them. The script gets a node as it gets one in its DaemonSet: by a directory and a process.
//!
//! The suite runs inside `contained` (see tests/contained), as root on Linux. What it stands on:
//!
//! - [`node`]: a node: files, a mount namespace in which they are the machine's, a containerd, what restarts that
//! - [`layout`]: whose node it is: k3s, k0s and the others, as far as the script looks at them
//! - [`script`]: the script, run with busybox' shell, and the archive that it carries
//! - [`files`]: the node's files at one moment, to be compared
//! - [`pods`]: a pod of the runtime, as kubelet would have it made
//! - [`impostors`]: processes that only look like containerd or the shim
//!
//! What is not real: systemd, snap, k3s, RKE2, k0s and MicroK8s are each played by some lines of shell, which render the
//! configuration and restart containerd as the real ones do by their source.
#![cfg(target_os = "linux")]

mod files;
mod layout;
mod node;
mod pods;
mod script;

mod containerd;
mod distributions;
mod impostors;
mod refusals;
mod undone;
