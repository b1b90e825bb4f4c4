//! How the node is set up: where its files are, and what containerd and the pods' network are told.

use super::DIRECTORY;
use std::path::{Path, PathBuf};

/// The programs that containerd finds by their names.
pub(super) fn binaries() -> PathBuf {
    Path::new(DIRECTORY).join("bin")
}

/// The network plugins.
pub(super) fn plugins() -> PathBuf {
    Path::new(DIRECTORY).join("cni/bin")
}

/// The configuration of the pods' network.
pub(super) fn networks() -> PathBuf {
    Path::new(DIRECTORY).join("cni/net.d")
}

/// containerd's configuration.
pub(super) fn file() -> PathBuf {
    Path::new(DIRECTORY).join("containerd.toml")
}

/// The configuration of `crictl`.
pub(crate) fn crictl() -> PathBuf {
    Path::new(DIRECTORY).join("crictl.yaml")
}

/// What is in it. Its timeout is for each call of containerd.
pub(super) const CRICTL: &str = "\
runtime-endpoint: unix:///run/containerd/containerd.sock
image-endpoint: unix:///run/containerd/containerd.sock
timeout: 40
";

/// containerd's configuration. State and root are the usual ones, which are this suite's own in here. What would
/// touch the machine's /opt or /etc is off.
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
# Where CAP_SYS_RESOURCE is missing, a lower score than containerd's own is refused.
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

/// The pods' network: a bridge of its own, reached from the tests through its gateway's addresses, 10.89.0.1 and
/// fd00:10:89::1.
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
