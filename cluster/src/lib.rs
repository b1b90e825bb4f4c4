//! A real Kubernetes of one node, on any Linux machine with root. Its programs are built from source. Its mounts, network and
//! processes are its own: the machine's are left alone, and the cluster ends with one process.
//!
//! ```text
//! the machine                            │ the node: namespaces of its own
//!   visits-cluster up | down | …         │   visits-cluster inside      mounts; the first process, reaps
//!   kubectl ── 198.18.N.1 ═══ veth ══════╪══ 198.18.N.2                 apiserver :6443
//!              fd00:198:18:N::1          │   fd00:198:18:N::2
//!   curl ───────────────────────────────►│   198.18.N.200…              the load balancer's addresses
//!   STATE/ kubeconfig pki log disk.img   │   visits-cluster supervise   etcd … kubelet, restarted when they end
//! ```
//!
//! - `cli`: the commands
//! - `state`, `network`, `families`, `runtime`: one cluster's directory and lock; its addresses; their families: IPv4, IPv6
//!   or both; the default runtime
//! - `up`, `apply`, `ready`: the steps from nothing to counting pods, and the waits between them
//! - `node`, `inside`, `root`, `supervise`: the node as the machine sees it; its first process; its file systems; the
//!   supervisor of its programs
//! - `programs`, `config`, `containerd`, `cni`, `pki`: the programs with their arguments; their files; containerd's; the
//!   pods' network; certificates and kubeconfigs
//! - `images`: the images on the node, built here, so that the node needs no registry
//! - `cgroup`: the cgroup above all pods
//! - `binaries`, `paths`, `namespaces`: the directories of built programs; paths on the node; commands in its namespaces
#![cfg(target_os = "linux")]

mod apply;
mod binaries;
mod cgroup;
mod cli;
mod cni;
mod config;
mod containerd;
mod families;
mod images;
mod inside;
mod namespaces;
mod network;
mod node;
mod paths;
mod pki;
mod programs;
mod ready;
mod root;
mod runtime;
mod state;
mod supervise;
mod up;

pub use cli::run as main;
