//! The counter on a real Kubernetes: the promises to its users and operators, tested with the unchanged manifests.
//!
//! `KUBECONFIG` names the cluster. The suite's own has one node, which the tool in `CLUSTER_BIN` (`visits-cluster`) controls. On
//! any other cluster the tests run that need no access to the node: see README.md. Shared parts:
//!
//! - [`cluster`]: the cluster, shared or alone; commands on its node, restarts, logs, images
//! - [`kubectl`]: the API, as operators use it
//! - [`namespace`]: a namespace for each test, and [`diagnosis`], the report of a failed one
//! - [`manifests`]: the manifests of `k8s/`, unchanged or with a patch
//! - [`stateful_set`]: the counters in a namespace: applied, ready, visited, read
//! - [`pods`]: one pod as the API and the kernel see it, and its [`limits`]
//! - [`specs`]: pods that a test defines itself, with components and native programs
//! - [`execs`], [`shell`], [`sessions`]: `kubectl exec`, lines of the documentation, interactive programs
//! - [`traces`]: the processes, mounts and files of a container on the node
//! - [`visitors`], [`load`]: visits through the Service, and whether the counts match their responses
//! - [`images`], [`disk`]: images for the tests, and volumes with a real size
//!
//! Every test is ignored by default, and the reason states its needs: `needs a cluster` is any cluster with the shim, `needs the
//! node: …` is the suite's own. `cargo xtask test cluster` runs the tests whose needs are met.
#![cfg(target_os = "linux")]

mod cluster;
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
mod stateful_set;
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
mod upstream;
mod volumes;
