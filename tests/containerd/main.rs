//! The shim under a real containerd, with containers as `ctr` and Kubernetes make them.
//!
//! The suite runs inside `contained` (see tests/contained), as root on Linux. Its modules without tests:
//!
//! - [`node`]: one containerd for all tests, with its configuration and its log
//! - [`ctr`], [`crictl`]: the programs of these names, with deadlines
//! - [`cri`]: pods and their containers
//! - [`images`]: the images of the tests
//! - [`network`]: a bridge and a network namespace for each container of `ctr`
//! - [`container`]: one container, removed on drop
//! - [`terminal`], [`events`], [`task_api`]: a terminal, containerd's events, and a shim's API without containerd
//! - [`process`], [`rights`], [`cgroup`], [`leftovers`]: the kernel's view of processes, cgroups and mounts
//!
//! Many tests have a control that runs the same steps under runc: if the control fails, the test itself is wrong.
//!
//! Every test is `#[ignore]`d because it needs root. `cargo xtask test containerd` runs them if it can.
#![cfg(target_os = "linux")]

mod cgroup;
mod container;
mod cri;
mod crictl;
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
mod exec_outputs;
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
mod options;
mod pause;
mod random_kills;
mod refused;
mod restart;
mod restricted;
mod shielded;
mod update;
mod user_namespaces;
mod volumes;
mod wasi_0_2;
