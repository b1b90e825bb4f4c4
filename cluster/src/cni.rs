//! The pods' network, set up by containerd's network plugins.
//!
//! Each pod has an interface of its own and the node routes its packets, which is all that kubelet's probes and kube-proxy
//! need. Assigned addresses are recorded in memory: a hard stop of the node also ends every pod.

use crate::network::Network;
use crate::paths::NODE_BINARIES;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

/// The path of the plugin list.
pub(crate) const LIST: &str = "/etc/cni/net.d/10-pods.conflist";
/// The directory of the plugins.
pub(crate) const PLUGINS: &str = "/opt/cni/bin";
/// The plugins among the node's programs.
const BUILT: [&str; 3] = ["host-local", "loopback", "ptp"];

/// The version of the CNI specification.
const VERSION: &str = "1.0.0";
/// The name of the plugin below.
const NO_DAD: &str = "no-dad";
/// A plugin that turns off duplicate address detection, which delays a pod's IPv6 address by one or two seconds. The next
/// plugin would wait for it. Here every address is assigned once.
const SCRIPT: &str = r#"#!/bin/sh
# Written by visits-cluster.
[ "$CNI_COMMAND" = ADD ] || exit 0
nsenter --net="$CNI_NETNS" sh -c 'echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad' || exit 1
echo '{"cniVersion":"1.0.0"}'
"#;

/// Returns the plugin list that gives pods an address of each family.
pub(crate) fn list(network: Network) -> Result<String> {
    let subnets = network.pods();
    let ranges: Vec<Value> = subnets
        .iter()
        .map(|subnet| json!([{ "subnet": subnet }]))
        .collect();
    let routes = network.families.choose("0.0.0.0/0", "::/0");
    let routes: Vec<Value> = routes.iter().map(|route| json!({ "dst": route })).collect();
    let addresses = json!({
        "type": "host-local",
        "dataDir": "/run/cni",
        "ranges": ranges,
        "routes": routes,
    });
    let mut plugins = vec![json!({ "type": "ptp", "ipam": addresses })];
    if network.families.has_ipv6() {
        plugins.insert(0, json!({ "type": NO_DAD }));
    }
    let list = json!({ "cniVersion": VERSION, "name": "visits-cluster", "plugins": plugins });
    serde_json::to_string_pretty(&list).context("cannot write the pods' network as JSON")
}

/// Fills the directory of the plugins: containerd 1.7 looks for them in one place.
pub(crate) fn fill_plugins() -> Result<()> {
    let path = Path::new(PLUGINS).join(NO_DAD);
    let write = || {
        fs::create_dir_all(PLUGINS)?;
        fs::write(&path, SCRIPT)?;
        fs::set_permissions(&path, Permissions::from_mode(0o755))
    };
    write().with_context(|| format!("cannot write {}", path.display()))?;
    for name in BUILT {
        let link = Path::new(PLUGINS).join(name);
        let _ = fs::remove_file(&link);
        symlink(Path::new(NODE_BINARIES).join(name), &link)
            .with_context(|| format!("cannot create {}", link.display()))?;
    }
    Ok(())
}
