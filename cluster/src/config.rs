//! The files that configure the node's programs, in directories of its own below `/etc`, where an administrator would
//! look for them.

use crate::images::PAUSE;
use crate::network::Network;
use crate::programs::{CONTAINERD as CONTAINERD_SOCKET, pki};
use crate::root::NODE_BINARIES;
use crate::state::State;
use crate::{cgroup, cni};
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;

/// containerd's configuration.
pub(crate) const CONTAINERD: &str = "/etc/containerd/config.toml";
/// kubelet's.
pub(crate) const KUBELET: &str = "/etc/kubernetes/kubelet.yaml";
/// kube-proxy's.
pub(crate) const PROXY: &str = "/etc/kubernetes/proxy.yaml";
/// The directory of drop-ins to containerd's configuration.
const DROP_INS: &str = "/etc/containerd/conf.d";
/// The handler of the RuntimeClass.
const RUNTIME: &str = "/etc/containerd/conf.d/preopen.toml";
/// The shim, where the installer would put it.
pub(crate) const SHIM: &str = "/opt/preopen/bin/containerd-shim-preopen-v1";

/// Writes all of them. What is there is kept, for an administrator may have changed it: the node was started before.
pub(crate) fn write(state: &State) -> Result<()> {
    fs::create_dir_all(DROP_INS).with_context(|| format!("make {DROP_INS}"))?;
    for (path, text) in [
        (CONTAINERD, containerd()),
        (RUNTIME, runtime()),
        (cni::LIST, cni::list(state.network)?),
        (KUBELET, kubelet(state.network)),
        (PROXY, proxy(state.network)),
    ] {
        let path = Path::new(path);
        if path.exists() {
            continue;
        }
        let directory = path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(directory).with_context(|| format!("make {}", directory.display()))?;
        fs::write(path, text).with_context(|| format!("write {}", path.display()))?;
    }
    cni::write_plugin()
}

fn containerd() -> String {
    format!(
        r#"# Written by visits-cluster.
version = 3
imports = ["{DROP_INS}/*.toml"]
disabled_plugins = ["io.containerd.nri.v1.nri"]

[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = "{PAUSE}"

[plugins.'io.containerd.cri.v1.runtime']
# Where CAP_SYS_RESOURCE is missing, a lower score than containerd's own is refused.
restrict_oom_score_adj = true
# Its profile would be loaded for the whole machine, and stay.
disable_apparmor = true
cdi_spec_dirs = []

[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ["{NODE_BINARIES}", "{plugins}"]
conf_dir = "/etc/cni/net.d"

[plugins.'io.containerd.cri.v1.runtime'.containerd]
default_runtime_name = "runc"

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
"#,
        plugins = cni::PLUGINS,
    )
}

fn runtime() -> String {
    format!(
        r#"# Written by visits-cluster.
version = 3

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.preopen]
runtime_type = "{SHIM}"
"#
    )
}

fn kubelet(network: Network) -> String {
    format!(
        "# Written by visits-cluster.
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: '{any}'
authentication:
  anonymous: {{ enabled: false }}
  webhook: {{ enabled: true }}
  x509: {{ clientCAFile: {ca} }}
authorization: {{ mode: Webhook }}
tlsCertFile: {certificate}
tlsPrivateKeyFile: {key}
containerRuntimeEndpoint: unix://{CONTAINERD_SOCKET}
clusterDomain: cluster.local
clusterDNS: ['{dns}']
# No file: the machine's own names no server that a pod could reach.
resolvConf: ''
cgroupDriver: cgroupfs
cgroupRoot: {cgroup}
# A machine with cgroup version 1 is as good here; kubelet only wants to be told.
failCgroupV1: false
failSwapOn: false
# A lower score than its own takes CAP_SYS_RESOURCE.
oomScoreAdj: 0
# /usr, where the default is, is the machine's.
volumePluginDir: /var/lib/kubelet/volume-plugins
# No image can be fetched again, and the disk is a sparse file: never remove images, and evict nobody before it is all but full.
imageGCHighThresholdPercent: 100
evictionHard: {{ memory.available: 100Mi, nodefs.available: 1%, nodefs.inodesFree: 1%, imagefs.available: 1% }}
",
        any = network.families.any(),
        dns = network.dns_service(),
        ca = pki("ca.crt"),
        certificate = pki("kubelet.crt"),
        key = pki("kubelet.key"),
        cgroup = cgroup::path(network),
    )
}

fn proxy(network: Network) -> String {
    format!(
        "# Written by visits-cluster.
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clientConnection: {{ kubeconfig: {kubeconfig} }}
bindAddress: '{any}'
clusterCIDR: '{pods}'
# The machine's limits on tracked connections are not this node's to change.
conntrack: {{ maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s }}
",
        any = network.families.any(),
        pods = network.pods().join(","),
        kubeconfig = pki("proxy.conf"),
    )
}
