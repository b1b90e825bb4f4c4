//! Volumes that are in use, full or read-only.

use crate::cluster::Cluster;
use crate::disk::Disk;
use crate::images::BUSYBOX;
use crate::kubectl::POD;
use crate::manifests::Manifests;
use crate::namespace::Namespace;
use crate::pods::Pod;
use crate::stateful_set::StatefulSet;
use crate::visitors;
use anyhow::{Result, ensure};
use serde_json::{Value, json};

/// Returns a pod that reads the count on the volume of `visits-0`.
fn reader() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": "reader" },
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "containers": [{
                "name": "reader",
                "image": BUSYBOX,
                "command": ["/bin/cat", "/persistent/visits.bin"],
                "volumeMounts": [{ "name": "persistent", "mountPath": "/persistent" }],
            }],
            "volumes": [{ "name": "persistent", "persistentVolumeClaim": { "claimName": "persistent-visits-0" } }],
        },
    })
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_second_pod_on_a_volume_in_use_waits_for_the_end_of_the_first() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        let manifests = Manifests::only_people_count().with_replicas(1)?;
        let counters = StatefulSet::start(namespace, &manifests).await?;
        visitors::visits(counters.address().await?, 7).await?;
        namespace.apply(reader()).await?;
        namespace.event("reader", "ReadWriteOncePod").await?;
        let pod = Pod::read(namespace, "reader").await?;
        ensure!(pod.phase() == "Pending", "it is {}", pod.phase());
        ensure!(counters.count(0).await? == 7);
        // Only the volume in use kept it waiting.
        counters.scale(1, 0).await?;
        Pod::once(namespace, "reader", "it has run", |pod| {
            pod.phase() == "Succeeded"
        })
        .await?;
        let read = namespace.kubectl(["logs", "reader"]).await?;
        ensure!(read.as_bytes() == 7_u64.to_le_bytes(), "{read:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
#[ignore = "needs the node: fills a volume on it"]
async fn a_pod_with_a_full_volume_counts_and_so_does_the_next() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let disk = Disk::new(&cluster).await?;
    Namespace::with(&cluster, async |namespace| {
        let counters = StatefulSet::start_on(namespace, &disk).await?;
        let address = counters.address().await?;
        visitors::visits(address, 3).await?;
        disk.fill().await?;
        visitors::visits(address, 20).await?;
        ensure!(counters.count(0).await? == 23);
        ensure!(disk.read("visits.bin").await? == 23_u64.to_le_bytes());
        namespace.wait(POD, ["delete", "pod", "visits-0"]).await?;
        Pod::ready(namespace, "visits-0").await?;
        visitors::visits(counters.address().await?, 7).await?;
        ensure!(counters.count(0).await? == 30);
        ensure!(disk.read("visits.bin").await? == 30_u64.to_le_bytes());
        Ok(())
    })
    .await
}

#[tokio::test]
#[ignore = "needs the node: remounts a volume on it"]
async fn a_volume_that_is_read_only_from_the_start_keeps_its_pod_alive_but_unready_and_the_log_has_the_reason()
-> Result<()> {
    let cluster = Cluster::shared().await?;
    let disk = Disk::new(&cluster).await?;
    Namespace::with(&cluster, async |namespace| {
        let manifests = Manifests::base().with_patch(disk.patch())?;
        let counters = StatefulSet::start(namespace, &manifests).await?;
        namespace
            .kubectl(["scale", "statefulset/visits", "--replicas=0"])
            .await?;
        namespace
            .wait(POD, ["wait", "--for=delete", "pod/visits-0"])
            .await?;
        let before = disk.read("visits.bin").await?;
        disk.make_read_only().await?;
        namespace
            .kubectl(["scale", "statefulset/visits", "--replicas=1"])
            .await?;

        let message = namespace
            .event(
                "visits-0",
                "probe failed: HTTP probe failed with statuscode: 503",
            )
            .await?;
        let pod = Pod::read(namespace, "visits-0").await?;
        ensure!(
            pod.phase() == "Running" && !pod.is_ready(),
            "{message}, and it is {}",
            pod.phase()
        );
        pod.check_not_restarted()?;
        let logs = namespace.kubectl(["logs", "visits-0"]).await?;
        ensure!(
            logs.to_lowercase().contains("read-only"),
            "the log lacks the reason: {logs}"
        );
        let reading = u64::from_le_bytes(before[..].try_into()?);
        ensure!(counters.count(0).await? == reading, "the count has changed");
        ensure!(disk.read("visits.bin").await? == before);

        // The volume becomes writable. This pod keeps kubelet's read-only mount; the next one gets a writable one.
        disk.make_writable().await?;
        namespace.wait(POD, ["delete", "pod", "visits-0"]).await?;
        Pod::ready(namespace, "visits-0").await?;
        let served = visitors::visits(counters.address().await?, 1).await?;
        ensure!(
            served.total() == 1 && counters.count(0).await? > reading,
            "{served:?}"
        );
        Ok(())
    })
    .await
}
