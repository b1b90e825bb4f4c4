//! The configuration files of the node's programs, in the usual directories below `/etc`, which belong to the node alone.

use crate::containerd::{DROP_INS, Format};
use crate::network::Network;
use crate::paths::{CONTAINERD_SOCKET, KUBELET, PROXY, pki};
use crate::state::State;
use crate::{cgroup, cni};
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;

/// Writes the files that do not exist. Existing files come from an earlier start, and an administrator may have edited them.
pub(crate) fn write(state: &State) -> Result<()> {
    fs::create_dir_all(DROP_INS).with_context(|| format!("cannot create {DROP_INS}"))?;
    let mut files = Format::of_node()?.files(state.runtime);
    files.extend([
        (cni::LIST, cni::list(state.network)?),
        (KUBELET, kubelet(state.network)),
        (PROXY, proxy(state.network)),
    ]);
    for (path, text) in files {
        let path = Path::new(path);
        if path.exists() {
            continue;
        }
        let directory = path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    cni::fill_plugins()
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
# No file: a pod cannot reach the name servers of the machine's resolv.conf.
resolvConf: ''
cgroupDriver: cgroupfs
cgroupRoot: {cgroup}
# By default kubelet refuses to start on cgroup version 1. It works there.
failCgroupV1: false
failSwapOn: false
# A score below its own needs CAP_SYS_RESOURCE.
oomScoreAdj: 0
# The default lies in /usr, which is the machine's.
volumePluginDir: /var/lib/kubelet/volume-plugins
# Images cannot be pulled again, so kubelet must never remove them. The disk is a sparse file, so pods are evicted only when
# it is nearly full.
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
# The limits on tracked connections are the machine's, so this node leaves them alone.
conntrack: {{ maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s }}
",
        any = network.families.any(),
        pods = network.pods().join(","),
        kubeconfig = pki("proxy.conf"),
    )
}
