//! The traces of a container on the node: its processes, its shim's processes and descriptors, mounts and files. An exec that
//! has ended must not leave any.

use crate::cluster::Cluster;
use crate::pods::Pod;
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::time::Duration;
use visits_tests::{DEADLINE, wait};

/// Prints a line for each trace of the containers `$@`. A shim's descriptors are numbered, so that only an additional one is a
/// difference. The shim is the parent of a container's first process.
const LIST: &str = r#"for id; do
    init=$(grep -ls "$id" /proc/[0-9]*/cgroup | cut -d/ -f3 | sort -n | head -n 1)
    shim=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$init/status")
    grep -ls "$id" /proc/[0-9]*/cgroup | sed 's/^/process in the container: /'
    grep -lsx "PPid:[[:space:]]*$shim" /proc/[0-9]*/status | sed 's/^/process of the shim: /'
    ls "/proc/$shim/fd" | sed = | sed 'N; s/\n.*//' | sed "s/^/descriptor of the shim $shim: /"
    grep -F "$id" /proc/self/mountinfo | sed 's/^/mount: /'
    find /run/containerd -path "*$id*" ! -path '*/rootfs/*' | sed 's/^/file: /'
done"#;

/// All traces at one moment.
#[derive(Debug)]
pub(crate) struct Traces {
    containers: Vec<String>,
    lines: BTreeSet<String>,
}

impl Traces {
    /// Lists the traces of each pod's first container.
    pub(crate) async fn of(cluster: &Cluster, pods: &[Pod]) -> Result<Self> {
        let ids = pods.iter().map(Pod::container_id);
        let containers: Vec<_> = ids.map(|id| id.map(str::to_owned)).collect::<Result<_>>()?;
        let lines = list(cluster, &containers).await?;
        Ok(Self { containers, lines })
    }

    /// Waits until no other traces exist. The error lists the others.
    pub(crate) async fn wait_for_no_others(&self, cluster: &Cluster) -> Result<()> {
        let mut more = Vec::new();
        let pause = Duration::from_millis(500);
        let waited = wait::until_every(pause, "the execs leave nothing", DEADLINE, async || {
            let lines = list(cluster, &self.containers).await?;
            more = lines.difference(&self.lines).cloned().collect();
            Ok(more.is_empty().then_some(()))
        });
        waited
            .await
            .with_context(|| format!("left behind:\n{}", more.join("\n")))
    }
}

async fn list(cluster: &Cluster, containers: &[String]) -> Result<BTreeSet<String>> {
    let shell = ["sh", "-uc", LIST, "sh"].map(str::to_owned);
    let printed = cluster.node(shell.iter().chain(containers)).await?;
    let printed = String::from_utf8_lossy(&printed);
    Ok(printed.lines().map(str::to_owned).collect())
}
