//! The installer's script on nodes of every supported distribution, each with a real containerd and the distribution's
//! files. The script gets a node as it does in its DaemonSet: by a root directory and a process id.
//!
//! The suite runs inside `contained` (see tests/contained), as root on Linux. Its modules without tests:
//!
//! - [`node`]: a node: its files, a mount namespace in which they are the machine's, its containerd
//! - [`layout`]: the distribution of a node, as far as the script depends on it
//! - [`script`]: the script, run with busybox' shell, and the archive that it installs
//! - [`files`]: the node's files at one moment, for comparisons
//! - [`pods`]: a pod of the runtime, made as kubelet makes it
//!
//! systemd, snap, k3s, RKE2, k0s and MicroK8s are not real. A few lines of shell render the configuration and restart
//! containerd as their sources do.
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
