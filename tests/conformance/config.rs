//! The node's directories and the configuration of containerd and of the pods' network.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// The directory of the node's own files.
const DIRECTORY: &str = "/run/conformance";

/// The image of the pause container.
const PAUSE: &str = "registry.k8s.io/pause:3.10.2";

/// The pods' network.
const NETWORK: &str = "10.87.0.0/16";

/// Returns the directory of the programs that containerd finds by name.
pub(crate) fn binaries() -> PathBuf {
    Path::new(DIRECTORY).join("bin")
}

/// Returns the directory of the network plugins.
pub(crate) fn plugins() -> PathBuf {
    PathBuf::from("/opt/cni/bin")
}

/// Returns the directory with the configuration of the pods' network.
pub(crate) fn networks() -> PathBuf {
    PathBuf::from("/etc/cni/net.d")
}

/// Returns the path of containerd's configuration.
pub(crate) fn file() -> PathBuf {
    Path::new(DIRECTORY).join("containerd.toml")
}

/// Returns the file with the registry's certificate.
pub(crate) fn certificate() -> PathBuf {
    Path::new(DIRECTORY).join("certificate.pem")
}

/// Writes a file of the node.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Returns containerd's configuration, which uses the usual directories. `default` is the runtime of pods that name none.
/// All versions since 1.4 read this version of it.
pub(crate) fn containerd(default: &str) -> String {
    format!(
        r#"version = 2
imports = []

[plugins.'io.containerd.nri.v1.nri']
disable = true

[plugins.'io.containerd.snapshotter.v1.overlayfs']
# For user namespaces on file systems that cannot map ids.
slow_chown = true

[plugins.'io.containerd.grpc.v1.cri']
sandbox_image = "{PAUSE}"
# Without CAP_SYS_RESOURCE the kernel refuses a score below containerd's own.
restrict_oom_score_adj = true
drain_exec_sync_io_timeout = "10s"

[plugins.'io.containerd.grpc.v1.cri'.containerd]
default_runtime_name = "{default}"

[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.preopen]
runtime_type = "io.containerd.preopen.v1"
"#
    )
}

/// Returns the configuration of the pods' network: a bridge, and ports of the node that lead to pods.
pub(crate) fn network() -> String {
    format!(
        r#"{{
  "cniVersion": "1.0.0",
  "name": "conformance",
  "plugins": [
    {{
      "type": "bridge",
      "bridge": "pods0",
      "isGateway": true,
      "ipMasq": true,
      "promiscMode": true,
      "ipam": {{
        "type": "host-local",
        "ranges": [[{{ "subnet": "{NETWORK}" }}], [{{ "subnet": "fd00:10:87::/64" }}]],
        "routes": [{{ "dst": "0.0.0.0/0" }}, {{ "dst": "::/0" }}]
      }}
    }},
    {{ "type": "portmap", "capabilities": {{ "portMappings": true }} }}
  ]
}}
"#
    )
}
