//! The pods' network, as containerd's network plugins make it.
//!
//! Each pod has an interface of its own, routed by the node: kubelet's probes and kube-proxy need no more. Addresses are
//! noted in memory: after a hard stop of the node no pod is left to have one.

use crate::network::Network;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The list of plugins.
pub(crate) const LIST: &str = "/etc/cni/net.d/10-pods.conflist";
/// The directory of the plugins that are not built from Go.
pub(crate) const PLUGINS: &str = "/opt/cni/bin";

/// The version of the interface between containerd and plugins.
const VERSION: &str = "1.0.0";
/// The plugin below.
const NO_DAD: &str = "no-dad";
/// A plugin that makes a pod use its IPv6 address at once. By default the kernel asks for a second or two whether somebody
/// else has it, and the next plugin waits for the end of that. Here every address is given once.
const SCRIPT: &str = r#"#!/bin/sh
# Written by visits-cluster.
[ "$CNI_COMMAND" = ADD ] || exit 0
nsenter --net="$CNI_NETNS" sh -c 'echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad' || exit 1
echo '{"cniVersion":"1.0.0"}'
"#;

/// Returns the list of plugins that give pods an address of each family.
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
    serde_json::to_string_pretty(&list).context("write the pods' network")
}

/// Writes the plugin.
pub(crate) fn write_plugin() -> Result<()> {
    let path = Path::new(PLUGINS).join(NO_DAD);
    let write = || {
        fs::create_dir_all(PLUGINS)?;
        fs::write(&path, SCRIPT)?;
        fs::set_permissions(&path, Permissions::from_mode(0o755))
    };
    write().with_context(|| format!("write {}", path.display()))
}
