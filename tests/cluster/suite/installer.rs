//! The installer on a node that has no shim yet: the DaemonSet as it is, but for the line that restarts containerd, for this
//! node has no systemd.

use crate::cluster::Cluster;
use crate::counter::Counter;
use crate::kubectl::{self, POD};
use crate::manifests::Manifests;
use crate::namespace::Namespace;
use crate::visitors;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::path::PathBuf;
use visits_tests::command;

/// What the node's own shim is made of, and where it is kept meanwhile.
const RUNTIME: &str = "/etc/containerd/conf.d/preopen.toml";
const SHIM: &str = "/opt/preopen";
const ASIDE: &str = "/var/lib/visits-aside";

/// Ends containerd, which is then started again, as by an init system.
const RESTART: &str = "kill $(cat /run/visits/processes/containerd)";
/// Waits until it is another process that answers.
const RESTARTED: &str = "while [ -d /proc/$old ]; do sleep 0.1; done\n\
    until /run/visits/node/ctr version >/dev/null 2>&1; do sleep 0.1; done";

/// The label of nodes that have the shim.
const LABEL: &str = "preopen/shim";

/// Every file below /etc/containerd with its checksum, and whether there is a shim.
const STATE: &str = "find /etc/containerd -type f -exec sha256sum {} + | sort; ls /opt";

/// The node without its shim, until this is dropped.
struct Bare<'c>(&'c Cluster);

impl<'c> Bare<'c> {
    async fn make(cluster: &'c Cluster) -> Result<Self> {
        let bare = Self(cluster);
        let aside = format!("mkdir {ASIDE}; mv {RUNTIME} {SHIM} {ASIDE}");
        cluster.shell(&aside).await?;
        cluster.restart("containerd").await?;
        kubectl::run(["label", "node", "node", &format!("{LABEL}-")]).await?;
        Ok(bare)
    }

    fn undo(&self) -> Result<()> {
        let uninstall = Manifests::runtimeclass("uninstall").path();
        let delete = ["delete", "--ignore-not-found", "--kustomize", &uninstall];
        let deleted = kubectl::command(delete).and_then(command::run);
        let back = format!(
            "[ -d {ASIDE} ] || exit 0\n\
             rm -rf {SHIM} /etc/containerd/conf.d/90-preopen.toml\n\
             mv {ASIDE}/preopen.toml {RUNTIME}\n\
             mv {ASIDE}/preopen {SHIM}\n\
             rmdir {ASIDE}\n\
             old=$(cat /run/visits/processes/containerd)\n\
             {RESTART}\n\
             {RESTARTED}"
        );
        self.0.shell_now(&back)?;
        let label = [
            "label",
            "node",
            "node",
            "--overwrite",
            &format!("{LABEL}=ready"),
        ];
        command::run(kubectl::command(label)?)?;
        deleted.map(drop)
    }
}

impl Drop for Bare<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.undo() {
            eprintln!("note: the node is left without its own shim: {error:#}");
        }
    }
}

/// These manifests of the installer, for a node that has no systemd.
fn on_this_node(name: &str, container: usize) -> Result<Manifests> {
    let arguments = format!("/spec/template/spec/initContainers/{container}/args/-");
    let add = |value: &str| json!({ "op": "add", "path": arguments, "value": value });
    let restart = json!([add("--restart"), add(RESTART)]);
    Manifests::runtimeclass(name).with_patch_of("DaemonSet", restart)
}

/// Applies them and waits until they have done their work on every node, that is on one.
async fn run(manifests: &Manifests) -> Result<()> {
    kubectl::run(["apply", "--kustomize", &manifests.path()]).await?;
    let name = [
        "--namespace=preopen-system",
        "rollout",
        "status",
        "daemonset/preopen-node",
    ];
    let done = kubectl::wait(POD, name).await;
    if let Err(error) = done {
        let logs = [
            "--namespace=preopen-system",
            "logs",
            "daemonset/preopen-node",
            "--all-containers",
        ];
        let logs = kubectl::run(logs).await;
        return Err(error.context(format!("the installer says: {logs:?}")));
    }
    Ok(())
}

async fn label() -> Result<Value> {
    let mut node = kubectl::json(["get", "node", "node"]).await?;
    Ok(node["metadata"]["labels"][LABEL].take())
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn the_installer_brings_the_shim_to_a_node_and_takes_it_off_again() -> Result<()> {
    let cluster = Cluster::alone().await?;
    let image = std::env::var_os("DIST_DIR").map(PathBuf::from);
    let image = image.context("DIST_DIR is not set: run `cargo xtask test cluster`")?;
    cluster.import(&image.join("preopen-node-oci.tar")).await?;
    let _bare = Bare::make(&cluster).await?;
    let before = cluster.shell(STATE).await?;
    ensure!(
        !before.contains("preopen"),
        "the node is not bare: {before}"
    );

    let tested = Namespace::with(&cluster, async |namespace| {
        // Where nothing is installed, no pod is sent.
        Manifests::only_people_count().apply(namespace).await?;
        namespace
            .event("visits-0", "didn't match Pod's node affinity/selector")
            .await?;
        run(&on_this_node("installer", 0)?).await?;
        ensure!(label().await? == "ready", "the node has no label");
        let counter = Counter::start(namespace, &Manifests::only_people_count()).await?;
        let before = counter.counts().await?;
        let served = visitors::visits_to_all(counter.address().await?).await?;
        served.were_counted(before, counter.counts().await?)?;
        counter.scale(4, 0).await
    });
    tested.await?;

    run(&on_this_node("uninstall", 1)?).await?;
    ensure!(
        label().await? == Value::Null,
        "the node still has the label"
    );
    let after = cluster.shell(STATE).await?;
    ensure!(after == before, "before: {before}\nafter: {after}");
    Ok(())
}
