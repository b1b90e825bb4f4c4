//! The installer on a real node: from a node without the shim to a pod that counts, and back.

use crate::cluster::Cluster;
use crate::kubectl::{self, POD};
use crate::namespace::Namespace;
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::time::Duration;
use visits_support::environment;
use visits_tests::command::{self, Bounded, run_beside};
use visits_tests::wait;

/// The directory of its manifests.
const RUNTIMECLASS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../runtimeclass");
const SYSTEM: &str = "--namespace=preopen-system";
const DAEMONSET: &str = "daemonset/preopen-node";
/// The command that restarts containerd. The node has no systemd; its supervisor starts containerd again.
const RESTART: &str = "kill $(cat /run/visits/processes/containerd)";
/// The account that the policy restricts.
const ACCOUNT: &str = "--as=system:serviceaccount:preopen-system:preopen-node";
const NODE_NAME: &str = "authentication.kubernetes.io/node-name";

/// A node without its shim, which is restored on drop.
struct Bare<'c>(&'c Cluster);

impl<'c> Bare<'c> {
    async fn make(cluster: &'c Cluster) -> Result<Self> {
        let bare = Self(cluster);
        let lines = "mkdir -p /var/aside; mv /opt/preopen /var/aside/; mv /etc/containerd/conf.d/preopen.toml /var/aside/";
        cluster.shell(lines).await?;
        kubectl::run(["label", "node", "node", "preopen/shim-"]).await?;
        cluster.restart("containerd").await?;
        Ok(bare)
    }
}

impl Drop for Bare<'_> {
    fn drop(&mut self) {
        // The next test needs a containerd that responds.
        let lines = format!(
            "rm -rf /opt/preopen /etc/containerd/conf.d/90-preopen.toml\n\
             mv /var/aside/preopen /opt/; mv /var/aside/preopen.toml /etc/containerd/conf.d/\n\
             {RESTART}\n\
             for try in $(seq 300); do\n\
               sleep 0.1; /run/visits/node/ctr version >/dev/null 2>&1 && exit\n\
             done\n\
             exit 1"
        );
        // First the installer goes, because it would install the shim again.
        drop(Applied);
        let restored = self.0.shell_now(&lines).map(drop);
        let label = ["label", "node", "node", "--overwrite", "preopen/shim=ready"];
        let labelled = kubectl::command(label).and_then(command::run);
        for restored in [restored, labelled.map(drop)] {
            if let Err(error) = restored {
                eprintln!("note: the node is not restored: {error:#}");
            }
        }
    }
}

/// The installer's objects in the API, which are deleted on drop.
struct Applied;

impl Drop for Applied {
    fn drop(&mut self) {
        let directory = format!("{RUNTIMECLASS}/installer");
        let delete = ["delete", "--ignore-not-found", "--kustomize", &directory];
        let deleted =
            kubectl::command(delete).and_then(|command| Bounded::new(command).within(POD).run());
        if let Err(error) = deleted {
            eprintln!("note: the installer is left behind: {error:#}");
        }
    }
}

/// Applies the installer or the uninstaller, with the command that restarts containerd on this node.
async fn apply(what: &str, command: &str) -> Result<()> {
    apply_without(what, command, None).await
}

/// Applies it without the objects of one kind.
async fn apply_without(what: &str, command: &str, kind: Option<&str>) -> Result<()> {
    let directory = format!("{RUNTIMECLASS}/{what}");
    let yaml = kubectl::run(["kustomize", &directory]).await?;
    let arguments = format!("- args:\n        - {command}\n");
    ensure!(
        yaml.contains(&arguments),
        "{what} lacks the command {command}: {yaml}"
    );
    let more = format!("{arguments}        - --restart\n        - {RESTART}\n");
    let apply = kubectl::command(["apply", "--filename=-"])?;
    let yaml = yaml.replace(&arguments, &more);
    let unwanted = kind.map(|kind| format!("\nkind: {kind}\n"));
    let objects = yaml.split("\n---\n").filter(|object| {
        let unwanted = unwanted.as_deref();
        !unwanted.is_some_and(|unwanted| object.contains(unwanted))
    });
    let yaml = objects.collect::<Vec<_>>().join("\n---\n");
    Bounded::new(apply).input(yaml).run_beside().await.map(drop)
}

async fn rolled_out() -> Result<()> {
    let rolled = kubectl::wait(POD, [SYSTEM, "rollout", "status", DAEMONSET]).await;
    match rolled {
        Ok(_) => Ok(()),
        Err(error) => Err(error.context(log("install").await)),
    }
}

/// Returns the log of a container of the DaemonSet.
async fn log(container: &str) -> String {
    let log = kubectl::run([SYSTEM, "logs", DAEMONSET, "--container", container]).await;
    log.unwrap_or_else(|error| format!("(no log: {error:#})"))
}

async fn label() -> Result<String> {
    let path = "--output=jsonpath={.metadata.labels.preopen/shim}";
    kubectl::run(["get", "node", "node", path]).await
}

/// Lists every file that the installer may touch on the node.
async fn files(cluster: &Cluster) -> Result<String> {
    cluster
        .shell("find /opt /etc/containerd ! -path '/opt/containerd*' -exec ls -ld --time-style=+ {} +; md5sum /etc/containerd/*.toml")
        .await
}

#[tokio::test]
#[ignore = "needs the node: removes the shim from it"]
async fn the_installer_installs_the_shim_on_a_node_and_removes_it_once_no_pod_needs_it()
-> Result<()> {
    let image = environment::INSTALLER_IMAGE.path()?;
    let cluster = Cluster::alone().await?;
    cluster.import(&image).await?;
    Namespace::with(&cluster, async |namespace| {
        let _bare = Bare::make(&cluster).await?;
        let before = files(&cluster).await?;

        // Without its policy the token could change every node, so the label is not set.
        let binding = Some("ValidatingAdmissionPolicyBinding");
        apply_without("installer", "install", binding).await?;
        wait::until_every(Duration::from_secs(1), "the label is refused", POD, async || {
            Ok(log("label").await.contains("preopen-node is not in force").then_some(()))
        })
        .await?;
        ensure!(label().await?.is_empty(), "the label is set without a policy");

        apply("installer", "install").await?;
        rolled_out().await?;
        ensure!(label().await? == "ready", "the label is not set: {}", log("label").await);
        namespace
            .apply(json!({
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": { "name": "counts" },
                "spec": {
                    "runtimeClassName": "preopen",
                    "securityContext": { "fsGroup": 65532 },
                    "containers": [{
                        "name": "visits",
                        "image": "localhost/visits:0.1.0",
                        "readinessProbe": { "httpGet": { "path": "/", "port": 5000 }, "periodSeconds": 1 },
                        "volumeMounts": [{ "name": "volume", "mountPath": "/app/persistent" }],
                    }],
                    "volumes": [{ "name": "volume", "emptyDir": {} }],
                },
            }))
            .await?;
        namespace.wait(POD, ["wait", "--for=condition=Ready", "pod/counts"]).await?;

        apply("uninstall", "uninstall").await?;
        wait::until_every(Duration::from_secs(1), "the log names the pods to remove", POD, async || {
            Ok(log("install").await.contains("remove the pods").then_some(()))
        })
        .await?;
        ensure!(label().await?.is_empty(), "the label is still set");
        namespace.get("counts", "/livez").await?;

        namespace.wait(POD, ["delete", "pod", "counts"]).await?;
        rolled_out().await?;
        let after = files(&cluster).await?;
        ensure!(after == before, "before:\n{before}\nafter:\n{after}");
        Ok(())
    })
    .await
}

#[tokio::test]
#[ignore = "needs the node: changes its object in the API"]
async fn the_installers_account_can_change_one_label_of_its_own_node() -> Result<()> {
    // Alone, because the other test applies the same objects.
    let _cluster = Cluster::alone().await?;
    let _applied = Applied;
    for file in ["namespace", "account", "own-node-only"] {
        let file = format!("--filename={RUNTIMECLASS}/installer/{file}.yaml");
        kubectl::run(["apply", &file]).await?;
    }
    let patch = async |node: &str, patch: serde_json::Value| {
        let node = format!("--as-user-extra={NODE_NAME}={node}");
        let patch = format!("--patch={patch}");
        let command = kubectl::command([
            ACCOUNT,
            &node,
            "patch",
            "node",
            "node",
            "--type=merge",
            // A dry run, because a repeated change would not be a change.
            "--dry-run=server",
            &patch,
        ])?;
        run_beside(command).await
    };
    let labels =
        |name: &str, value: Option<&str>| json!({ "metadata": { "labels": { name: value } } });
    // The API takes a moment to enforce a policy.
    let other = || labels("x", Some("y"));
    let owner = |uid: &str| {
        let owner =
            json!({ "apiVersion": "v1", "kind": "Namespace", "name": "kube-system", "uid": uid });
        json!({ "metadata": { "ownerReferences": [owner] } })
    };
    wait::until_every(
        Duration::from_millis(500),
        "the policy is in force",
        POD,
        async || Ok(patch("node", other()).await.is_err().then_some(())),
    )
    .await?;
    patch("node", labels("preopen/shim", Some("ready"))).await?;
    patch("node", labels("preopen/shim", None)).await?;
    for (node, refused, reason) in [
        ("node", other(), "only set the label"),
        (
            "node",
            labels("kubernetes.io/os", None),
            "only set the label",
        ),
        (
            "node",
            labels("preopen/shim", Some("other")),
            "only set the label",
        ),
        (
            "node",
            json!({ "metadata": { "annotations": { "x": "y" } } }),
            "nothing of a node but a label",
        ),
        (
            "node",
            json!({ "spec": { "unschedulable": true } }),
            "nothing of a node but a label",
        ),
        (
            "other",
            labels("preopen/shim", Some("ready")),
            "the node that it runs on",
        ),
    ] {
        let error = patch(node, refused.clone()).await.err();
        let error = error.with_context(|| format!("{refused} was accepted from {node}"))?;
        ensure!(
            format!("{error:#}").contains(reason),
            "{refused}: {error:#}"
        );
    }
    // An owner that does not exist would make Kubernetes delete the node.
    let uid = [
        "get",
        "namespace",
        "kube-system",
        "--output=jsonpath={.metadata.uid}",
    ];
    let owned = owner(&kubectl::run(uid).await?).to_string();
    let change = async |patch: &str| {
        kubectl::run(["patch", "node", "node", "--type=merge", "--patch", patch]).await
    };
    change(&owned).await?;
    let ready = patch("node", labels("preopen/shim", Some("ready"))).await;
    let replaced = patch("node", owner("no-such-uid")).await;
    let removed = patch("node", json!({ "metadata": { "ownerReferences": null } })).await;
    change(r#"{"metadata":{"ownerReferences":null}}"#).await?;
    ready.context("the label cannot be set on a node with an owner")?;
    for refused in [replaced, removed] {
        let error = refused.err().context("an owner was replaced")?;
        let reason = "nothing of a node but a label";
        ensure!(format!("{error:#}").contains(reason), "{error:#}");
    }
    // The account has no rights beyond the label.
    let list = kubectl::command([ACCOUNT, "get", "secrets", "--all-namespaces"])?;
    ensure!(
        run_beside(list).await.is_err(),
        "the account may read secrets"
    );
    Ok(())
}
