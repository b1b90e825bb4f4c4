//! The node's files and the configuration of containerd, crictl and the pods' network.

use std::path::{Path, PathBuf};

/// The directory of this suite's own files.
const DIRECTORY: &str = "/run/visits";

/// Returns the directory of the programs that containerd finds by name.
pub(super) fn binaries() -> PathBuf {
    Path::new(DIRECTORY).join("bin")
}

/// Returns the directory of the network plugins.
pub(super) fn plugins() -> PathBuf {
    Path::new(DIRECTORY).join("cni/bin")
}

/// Returns the directory with the configuration of the pods' network.
pub(super) fn networks() -> PathBuf {
    Path::new(DIRECTORY).join("cni/net.d")
}

/// Returns the path of containerd's configuration.
pub(super) fn file() -> PathBuf {
    Path::new(DIRECTORY).join("containerd.toml")
}

/// Returns the path of crictl's configuration.
pub(crate) fn crictl() -> PathBuf {
    Path::new(DIRECTORY).join("crictl.yaml")
}

/// The configuration of crictl. The timeout, in seconds, is that of one call.
pub(super) const CRICTL: &str = "\
runtime-endpoint: unix:///run/containerd/containerd.sock
image-endpoint: unix:///run/containerd/containerd.sock
timeout: 40
";

/// Returns containerd's configuration. Root and state are in the usual directories, which are private to this suite.
/// Plugins that would write to the machine's /opt or /etc are disabled.
pub(super) fn containerd() -> String {
    let plugins = plugins();
    let networks = networks();
    let pause = crate::images::PAUSE;
    format!(
        r#"version = 3
imports = []
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri"]

[debug]
level = "info"

[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = "{pause}"

[plugins.'io.containerd.cri.v1.runtime']
# Without CAP_SYS_RESOURCE the kernel refuses a score below containerd's own.
restrict_oom_score_adj = true
cdi_spec_dirs = []

[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = [{plugins:?}]
conf_dir = {networks:?}

[plugins.'io.containerd.cri.v1.runtime'.containerd]
default_runtime_name = "runc"

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.preopen]
runtime_type = "io.containerd.preopen.v1"
"#
    )
}

/// Returns the configuration of the pods' network: a bridge that the tests reach by the gateway's addresses, 10.89.0.1
/// and fd00:10:89::1.
pub(super) fn network() -> String {
    let leases = Path::new(DIRECTORY).join("cni/leases");
    format!(
        r#"{{
  "cniVersion": "1.0.0",
  "name": "visits-pods",
  "plugins": [{{
    "type": "bridge",
    "bridge": "pods0",
    "isGateway": true,
    "ipam": {{
      "type": "host-local",
      "dataDir": {leases:?},
      "ranges": [[{{ "subnet": "10.89.0.0/16" }}], [{{ "subnet": "fd00:10:89::/64" }}]]
    }}
  }}]
}}
"#
    )
}
