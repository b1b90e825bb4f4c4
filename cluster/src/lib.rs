//! A real Kubernetes of one node, on any Linux machine with root: its own programs built from source, its own mounts,
//! network and processes, so that the machine's are not touched and its end is the end of one process.
//!
//! ```text
//! the machine                            │ the node: namespaces of its own
//!   visits-cluster up | down | …         │   visits-cluster inside      mounts; the first process, reaps
//!   kubectl ── 198.18.N.1 ═══ veth ══════╪══ 198.18.N.2                 apiserver :6443
//!              fd00:198:18:N::1          │   fd00:198:18:N::2
//!   curl ───────────────────────────────►│   198.18.N.200…              the balancer's addresses
//!   STATE/ kubeconfig pki log disk.img   │   visits-cluster supervise   etcd … kubelet, started again when they end
//! ```
//!
//! - `cli`: the commands
//! - `state`, `network`, `families`: one cluster's directory with its lock, its addresses, and whether those are IPv4,
//!   IPv6 or both
//! - `up`, `apply`, `ready`: from nothing to counting pods, and what is waited for on the way
//! - `node`, `inside`, `root`, `supervise`: the node as the machine sees it; its first process; its file systems;
//!   what starts its programs
//! - `programs`, `config`, `cni`, `pki`: the programs with their arguments; their files; the pods' network; certificates
//!   and kubeconfigs
//! - `images`: the images on the node, made here, for no registry is asked
//! - `cgroup`: the cgroup that all pods are below
//! - `command`, `wait`: programs with a deadline; waiting
#![cfg(target_os = "linux")]

mod apply;
mod cgroup;
mod cli;
mod cni;
mod command;
mod config;
mod families;
mod images;
mod inside;
mod network;
mod node;
mod pki;
mod programs;
mod ready;
mod root;
mod state;
mod supervise;
mod up;
mod wait;

pub use cli::run as main;
