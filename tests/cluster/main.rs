//! The counter on a real Kubernetes: what its users and operators are promised, tried with the manifests as they are.
//!
//! The suite runs as root on Linux against a cluster of one node, which `KUBECONFIG` names and `CLUSTER_BIN` commands
//! (`visits-cluster`). What it stands on:
//!
//! - [`cluster`]: the node, beside other tests or alone: commands in it, restarts, its logs
//! - [`kubectl`]: the API, as operators use it
//! - [`namespace`]: a namespace for each test, and [`diagnosis`], the report of it when the test fails
//! - [`manifests`]: the manifests of `k8s/`, as they are or with a patch
//! - [`counter`]: the counter in a namespace: applied, ready, visited, read
//! - [`pods`]: one pod as the API and as the kernel have it, and its [`limits`]
//! - [`specs`]: pods of a test's own, with components and native programs
//! - [`execs`], [`shell`], [`sessions`]: `kubectl exec`, lines of the documentation, programs that a test talks to
//! - [`traces`]: what a container has on the node
//! - [`visitors`], [`load`]: who visits through the Service, what they were told, and whether that was counted
//! - [`images`], [`disk`]: images made here, and volumes that really have a size
//!
//! Every test is ignored unless asked for, because it needs a cluster; `cargo xtask test cluster` asks where it can.
#![cfg(target_os = "linux")]

mod cluster;
mod counter;
mod diagnosis;
mod disk;
mod execs;
mod images;
mod kubectl;
mod limits;
mod load;
mod manifests;
mod namespace;
mod pods;
mod sessions;
mod shell;
mod specs;
mod traces;
mod visitors;

mod attach;
mod browser;
mod copy;
mod exec;
mod families;
mod figures;
mod health;
mod hooks;
mod installer;
mod ipv6_alone;
mod lifecycle;
mod node;
mod probes;
mod reading;
mod resize;
mod rollout;
mod security;
mod strict;
mod table;
mod terminal;
mod volumes;
