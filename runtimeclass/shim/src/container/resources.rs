//! The resources that a container may use.
//!
//! - `holder`: the container's cgroup on version 2, made before any of its processes
//! - `devices`: the devices that a container may use on cgroup version 2
//! - `bpf`: the kernel's program that decides over devices
//! - `memory_limit`: the container's memory limit, mapped by the host inside

mod bpf;
mod devices;
pub(super) mod holder;
pub(super) mod memory_limit;
