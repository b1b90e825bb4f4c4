//! The node's programs: where they are, what each is told, and which of them it needs first.

use crate::config;
use crate::network::{API_PORT, Network};
use crate::root::{KUBERNETES_BINARIES, NODE_BINARIES, STATE};
use crate::state::State;
use anyhow::{Context, Result, ensure};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// The node's name.
pub(crate) const NODE: &str = "node";
/// containerd's socket.
pub(crate) const CONTAINERD: &str = "/run/containerd/containerd.sock";
/// The names of all programs, in the order of their needs.
pub(crate) const NAMES: [&str; 7] = [
    "etcd",
    "containerd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
];
/// Where etcd listens, on the node's own loopback.
const ETCD: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 2379);
/// What a program finds others by, inside.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The directories of what was built for the node, as `cargo xtask cluster` names them in the environment.
#[derive(Clone, Debug)]
pub(crate) struct Binaries {
    /// containerd, its shim and client, runc, network plugins.
    pub(crate) node: PathBuf,
    /// Kubernetes, kubectl, etcd.
    pub(crate) kubernetes: PathBuf,
}

impl Binaries {
    pub(crate) fn from_environment() -> Result<Self> {
        Ok(Self {
            node: named_by("NODE_BIN_DIR")?,
            kubernetes: named_by("KUBERNETES_BIN_DIR")?,
        })
    }

    pub(crate) fn environment(&self) -> [(&'static str, &Path); 2] {
        [
            ("NODE_BIN_DIR", &self.node),
            ("KUBERNETES_BIN_DIR", &self.kubernetes),
        ]
    }
}

/// The path that a variable names, where there is something.
pub(crate) fn named_by(variable: &str) -> Result<PathBuf> {
    let path = std::env::var_os(variable)
        .map(PathBuf::from)
        .with_context(|| {
            format!("{variable} is not set: run `cargo xtask cluster`, which sets it")
        })?;
    ensure!(
        path.exists(),
        "{variable}={}: no such file or directory",
        path.display()
    );
    std::path::absolute(&path).with_context(|| format!("{variable}={}", path.display()))
}

/// One of the programs.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(&'static str, String)>,
    /// Who has to answer before it is started.
    pub(crate) needs: Option<Endpoint>,
}

/// Where a program answers.
#[derive(Clone, Debug)]
pub(crate) enum Endpoint {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// All of them, for the node that this process is in.
pub(crate) fn all() -> Result<Vec<Program>> {
    let state = State::inside()?;
    let network = state.network;
    let api = Endpoint::Tcp(SocketAddr::new(network.node(), API_PORT));
    let programs = NAMES.map(|name| {
        let (arguments, needs) = match name {
            "etcd" => (etcd(), None),
            "containerd" => (vec![format!("--config={}", config::CONTAINERD)], None),
            "kube-apiserver" => (apiserver(network), Some(Endpoint::Tcp(ETCD))),
            "kube-controller-manager" => (controller_manager(network), Some(api.clone())),
            "kube-scheduler" => (scheduler(), Some(api.clone())),
            "kubelet" => (kubelet(network), Some(Endpoint::Unix(CONTAINERD.into()))),
            _ => (
                vec![
                    format!("--config={}", config::PROXY),
                    format!("--hostname-override={NODE}"),
                ],
                Some(api.clone()),
            ),
        };
        let directory = if name == "containerd" {
            NODE_BINARIES
        } else {
            KUBERNETES_BINARIES
        };
        Program {
            name,
            path: Path::new(directory).join(name),
            arguments,
            // containerd finds runc and runc's shim by it.
            environment: vec![
                ("PATH", format!("{NODE_BINARIES}:{PATH}")),
                ("HOME", "/root".into()),
            ],
            needs,
        }
    });
    Ok(programs.into())
}

/// A file of certificates and keys, inside.
pub(crate) fn pki(name: &str) -> String {
    format!("{STATE}/pki/{name}")
}

fn etcd() -> Vec<String> {
    let url = format!("https://{ETCD}");
    flags(&[
        ("name", NODE),
        ("data-dir", "/var/lib/etcd"),
        ("listen-client-urls", &url),
        ("advertise-client-urls", &url),
        ("listen-peer-urls", "http://127.0.0.1:2380"),
        ("cert-file", &pki("etcd.crt")),
        ("key-file", &pki("etcd.key")),
        ("client-cert-auth", "true"),
        ("trusted-ca-file", &pki("ca.crt")),
        ("log-level", "warn"),
    ])
}

fn apiserver(network: Network) -> Vec<String> {
    flags(&[
        ("advertise-address", &network.node().to_string()),
        ("bind-address", &network.families.any().to_string()),
        ("secure-port", &API_PORT.to_string()),
        ("etcd-servers", &format!("https://{ETCD}")),
        ("etcd-cafile", &pki("ca.crt")),
        ("etcd-certfile", &pki("etcd-client.crt")),
        ("etcd-keyfile", &pki("etcd-client.key")),
        ("authorization-mode", "Node,RBAC"),
        ("enable-admission-plugins", "NodeRestriction"),
        ("allow-privileged", "true"),
        ("client-ca-file", &pki("ca.crt")),
        ("tls-cert-file", &pki("apiserver.crt")),
        ("tls-private-key-file", &pki("apiserver.key")),
        ("kubelet-certificate-authority", &pki("ca.crt")),
        ("kubelet-client-certificate", &pki("apiserver-kubelet.crt")),
        ("kubelet-client-key", &pki("apiserver-kubelet.key")),
        ("kubelet-preferred-address-types", "InternalIP"),
        (
            "service-account-issuer",
            "https://kubernetes.default.svc.cluster.local",
        ),
        ("service-account-key-file", &pki("accounts.pub")),
        ("service-account-signing-key-file", &pki("accounts.key")),
        ("service-cluster-ip-range", &network.services().join(",")),
        ("requestheader-client-ca-file", &pki("front-proxy-ca.crt")),
        ("requestheader-allowed-names", "front-proxy-client"),
        ("requestheader-username-headers", "X-Remote-User"),
        ("requestheader-group-headers", "X-Remote-Group"),
        ("requestheader-extra-headers-prefix", "X-Remote-Extra-"),
        ("proxy-client-cert-file", &pki("front-proxy-client.crt")),
        ("proxy-client-key-file", &pki("front-proxy-client.key")),
    ])
}

fn controller_manager(network: Network) -> Vec<String> {
    let kubeconfig = pki("controller-manager.conf");
    flags(&[
        ("bind-address", "127.0.0.1"),
        ("kubeconfig", &kubeconfig),
        ("authentication-kubeconfig", &kubeconfig),
        ("authorization-kubeconfig", &kubeconfig),
        ("client-ca-file", &pki("ca.crt")),
        ("requestheader-client-ca-file", &pki("front-proxy-ca.crt")),
        ("root-ca-file", &pki("ca.crt")),
        ("cluster-signing-cert-file", &pki("ca.crt")),
        ("cluster-signing-key-file", &pki("ca.key")),
        ("service-account-private-key-file", &pki("accounts.key")),
        ("use-service-account-credentials", "true"),
        ("service-cluster-ip-range", &network.services().join(",")),
        ("cluster-cidr", &network.pods().join(",")),
        ("leader-elect", "false"),
    ])
}

fn scheduler() -> Vec<String> {
    let kubeconfig = pki("scheduler.conf");
    flags(&[
        ("bind-address", "127.0.0.1"),
        ("kubeconfig", &kubeconfig),
        ("authentication-kubeconfig", &kubeconfig),
        ("authorization-kubeconfig", &kubeconfig),
        ("leader-elect", "false"),
    ])
}

fn kubelet(network: Network) -> Vec<String> {
    let addresses: Vec<String> = network.nodes().iter().map(ToString::to_string).collect();
    flags(&[
        ("config", config::KUBELET),
        ("kubeconfig", &pki("kubelet.conf")),
        ("hostname-override", NODE),
        ("node-ip", &addresses.join(",")),
        ("node-labels", "preopen/shim=ready"),
    ])
}

fn flags(flags: &[(&str, &str)]) -> Vec<String> {
    flags
        .iter()
        .map(|(name, value)| format!("--{name}={value}"))
        .collect()
}
