//! The node's name, and paths on the node that several modules use.

/// The node's name.
pub(crate) const NODE: &str = "node";

/// The cluster's directory, as mounted on the node.
pub(crate) const STATE: &str = "/run/visits/state";
/// The directory of containerd, runc and the network plugins.
pub(crate) const NODE_BINARIES: &str = "/run/visits/node";
/// The directory of Kubernetes and etcd.
pub(crate) const KUBERNETES_BINARIES: &str = "/run/visits/kubernetes";
/// The directory with the process id of each of the node's programs.
pub(crate) const PROCESSES: &str = "/run/visits/processes";
/// Exists once the node has file systems of its own. Until then its paths lead to the machine's.
pub(crate) const MOUNTED: &str = "/run/visits/mounted";

/// containerd's socket.
pub(crate) const CONTAINERD_SOCKET: &str = "/run/containerd/containerd.sock";
/// containerd's configuration.
pub(crate) const CONTAINERD: &str = "/etc/containerd/config.toml";
/// kubelet's configuration.
pub(crate) const KUBELET: &str = "/etc/kubernetes/kubelet.yaml";
/// kube-proxy's configuration.
pub(crate) const PROXY: &str = "/etc/kubernetes/proxy.yaml";
/// The shim, where the installer would put it.
pub(crate) const SHIM: &str = "/opt/preopen/bin/containerd-shim-preopen-v1";

/// Returns the path of a certificate or key.
pub(crate) fn pki(name: &str) -> String {
    format!("{STATE}/pki/{name}")
}

/// Returns the path of the file with a program's process id. It is empty while the program does not run.
pub(crate) fn pid_file(name: &str) -> String {
    format!("{PROCESSES}/{name}")
}
