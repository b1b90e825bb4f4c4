//! The shim under a real containerd: every claim about it, tried on containers as `ctr` and Kubernetes make them.
//!
//! The suite runs inside `contained` (see tests/contained), as root on Linux. What it stands on:
//!
//! - [`node`]: one containerd for all tests, its configuration, its log
//! - [`ctr`], [`cri`]: programs with deadlines: `ctr`, and pods through `crictl`
//! - [`images`]: the images, made here
//! - [`network`]: a bridge, and a network namespace for each container
//! - [`container`]: one container under guard, as [`visits_tests::Host`] is one process
//! - [`process`], [`cgroup`], [`leftovers`]: what the kernel says
//!
//! Every test is ignored unless asked for, because it needs root; `cargo xtask test containerd` asks where it can.
#![cfg(target_os = "linux")]

mod cgroup;
mod container;
mod cri;
mod ctr;
mod images;
mod leftovers;
mod network;
mod node;
mod process;

mod compiled_code;
mod counts;
mod cycles;
mod debian;
mod density;
mod devices;
mod drain;
mod environment;
mod exits;
mod failures;
mod kills;
mod logs;
mod memory;
mod native;
mod native_in_pods;
mod restart;
mod restricted;
mod volumes;
