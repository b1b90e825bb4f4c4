//! The node's programs: their paths, their arguments, and the programs that each one depends on.

use crate::binaries::NAMES;
use crate::network::{API_PORT, Network};
use crate::paths::{self, KUBERNETES_BINARIES, NODE, NODE_BINARIES, pki};
use crate::state::State;
use anyhow::Result;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// etcd's address, on the node's loopback.
const ETCD: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 2379);
/// The port of the API's Service.
const API_SERVICE_PORT: u16 = 443;
/// kubelet's directory of pods, which its first start creates.
const PODS: &str = "/var/lib/kubelet/pods";
/// The programs' `PATH` on the node, after their own directory.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// One of the programs.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(&'static str, String)>,
    /// The endpoints that must accept connections before the program is started.
    pub(crate) needs: Vec<Endpoint>,
}

/// The address of a program.
#[derive(Clone, Debug)]
pub(crate) enum Endpoint {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// Returns all programs of the node that this process runs on.
pub(crate) fn all() -> Result<Vec<Program>> {
    let state = State::inside()?;
    let network = state.network;
    let api = Endpoint::Tcp(SocketAddr::new(network.node(), API_PORT));
    let programs = NAMES.map(|name| {
        let (arguments, needs) = match name {
            "etcd" => (etcd(), vec![]),
            "containerd" => (vec![format!("--config={}", paths::CONTAINERD)], vec![]),
            "kube-apiserver" => (apiserver(network), vec![Endpoint::Tcp(ETCD)]),
            "kube-controller-manager" => (controller_manager(network), vec![api.clone()]),
            "kube-scheduler" => (scheduler(), vec![api.clone()]),
            "kubelet" => (kubelet(network), before_kubelet(network)),
            _ => (
                vec![
                    format!("--config={}", paths::PROXY),
                    format!("--hostname-override={NODE}"),
                ],
                vec![api.clone()],
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
            // containerd finds runc and runc's shim on it.
            environment: vec![
                ("PATH", format!("{NODE_BINARIES}:{PATH}")),
                ("HOME", "/root".into()),
            ],
            needs,
        }
    });
    Ok(programs.into())
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
        ("config", paths::KUBELET),
        ("kubeconfig", &pki("kubelet.conf")),
        ("hostname-override", NODE),
        ("node-ip", &addresses.join(",")),
        ("node-labels", "preopen/shim=ready"),
    ])
}

/// A node that was stopped has pods, which start as soon as kubelet does. They connect to the API's Service, and a connection
/// that begins before kube-proxy has set up Services hangs for half a minute: kubelet waits for the address. A new node has
/// no pods, and kube-proxy waits for kubelet there, which registers the node.
fn before_kubelet(network: Network) -> Vec<Endpoint> {
    let mut needs = vec![Endpoint::Unix(paths::CONTAINERD_SOCKET.into())];
    if Path::new(PODS).exists() {
        let service = SocketAddr::new(network.api_service(), API_SERVICE_PORT);
        needs.push(Endpoint::Tcp(service));
    }
    needs
}

fn flags(flags: &[(&str, &str)]) -> Vec<String> {
    flags
        .iter()
        .map(|(name, value)| format!("--{name}={value}"))
        .collect()
}
