//! The shim under a real containerd: every claim about it, tried on containers as `ctr` and Kubernetes make them.
//!
//! The suite runs inside `contained` (see tests/contained), as root on Linux. What it stands on:
//!
//! - [`node`]: one containerd for all tests, its configuration, its log
//! - [`ctr`], [`cri`]: programs with deadlines: `ctr`, and pods through `crictl`
//! - [`images`]: the images, made here
//! - [`network`]: a bridge, and a network namespace for each container
//! - [`container`]: one container under guard, as [`visits_tests::Host`] is one process
//! - [`terminal`], [`events`], [`task_api`]: a terminal, what containerd reports, and a shim without containerd
//! - [`process`], [`rights`], [`cgroup`], [`leftovers`]: what the kernel says
//!
//! Every test is ignored unless asked for, because it needs root; `cargo xtask test containerd` asks where it can.
#![cfg(target_os = "linux")]

mod cgroup;
mod container;
mod cri;
mod ctr;
mod events;
mod images;
mod leftovers;
mod network;
mod node;
mod process;
mod rights;
mod task_api;
mod terminal;

mod against_runc;
mod compiled_code;
mod compiler;
mod counts;
mod cri_exec;
mod cycles;
mod debian;
mod density;
mod devices;
mod drain;
mod environment;
mod exec;
mod exec_calls;
mod exec_ends;
mod exec_identity;
mod exec_leaves;
mod exec_programs;
mod exec_streams;
mod exec_terminal;
mod exec_wasm;
mod exits;
mod failures;
mod families;
mod features;
mod held_up;
mod hostile;
mod hostile_images;
mod kills;
mod logs;
mod memory;
mod native;
mod native_in_pods;
mod pause;
mod refused;
mod restart;
mod restricted;
mod shielded;
mod update;
mod volumes;
mod wasi_0_2;
