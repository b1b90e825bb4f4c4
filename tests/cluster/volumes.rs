//! Volumes that are in use, full, or read-only.

use crate::cluster::Cluster;
use crate::counter::Counter;
use crate::disk::Disk;
use crate::images::BUSYBOX;
use crate::kubectl::POD;
use crate::manifests::Manifests;
use crate::namespace::Namespace;
use crate::pods::Pod;
use crate::visitors;
use anyhow::{Result, ensure};
use serde_json::{Value, json};

/// A pod that reads the count on the volume of `visits-0`.
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
async fn a_second_pod_on_a_volume_in_use_waits_until_the_first_is_gone() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        let one = json!([{ "op": "add", "path": "/spec/replicas", "value": 1 }]);
        let manifests = Manifests::only_people_count().with_patch(one)?;
        let counter = Counter::start(namespace, &manifests).await?;
        visitors::visits(counter.address().await?, 7).await?;
        namespace.apply(reader()).await?;
        namespace.event("reader", "ReadWriteOncePod").await?;
        let pod = Pod::read(namespace, "reader").await?;
        ensure!(pod.phase() == "Pending", "it is {}", pod.phase());
        ensure!(counter.count(0).await? == 7);
        // The volume in use was all it waited for.
        counter.scale(1, 0).await?;
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
#[ignore = "needs a cluster"]
async fn a_full_volume_goes_on_counting_in_its_pod_and_in_the_next() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let disk = Disk::new(&cluster).await?;
    Namespace::with(&cluster, async |namespace| {
        let manifests = Manifests::only_people_count().with_patch(disk.patch().into())?;
        let counter = Counter::start(namespace, &manifests).await?;
        let address = counter.address().await?;
        visitors::visits(address, 3).await?;
        disk.fill().await?;
        visitors::visits(address, 20).await?;
        ensure!(counter.count(0).await? == 23);
        ensure!(disk.read("visits.bin").await? == 23_u64.to_le_bytes());
        namespace.wait(POD, ["delete", "pod", "visits-0"]).await?;
        Pod::ready(namespace, "visits-0").await?;
        visitors::visits(counter.address().await?, 7).await?;
        ensure!(counter.count(0).await? == 30);
        ensure!(disk.read("visits.bin").await? == 30_u64.to_le_bytes());
        Ok(())
    })
    .await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_volume_that_is_read_only_from_the_start_keeps_its_pod_unready_but_alive_and_says_why()
-> Result<()> {
    let cluster = Cluster::shared().await?;
    let disk = Disk::new(&cluster).await?;
    Namespace::with(&cluster, async |namespace| {
        let manifests = Manifests::base().with_patch(disk.patch().into())?;
        let counter = Counter::start(namespace, &manifests).await?;
        namespace
            .kubectl(["scale", "statefulset/visits", "--replicas=0"])
            .await?;
        namespace
            .wait(POD, ["wait", "--for=delete", "pod/visits-0"])
            .await?;
        let before = disk.read("visits.bin").await?;
        disk.read_only().await?;
        namespace
            .kubectl(["scale", "statefulset/visits", "--replicas=1"])
            .await?;

        let told = namespace
            .event(
                "visits-0",
                "probe failed: HTTP probe failed with statuscode: 503",
            )
            .await?;
        let pod = Pod::read(namespace, "visits-0").await?;
        ensure!(
            pod.phase() == "Running" && !pod.is_ready(),
            "{told}, and it is {}",
            pod.phase()
        );
        ensure!(pod.restarts() == 0, "{} restarts", pod.restarts());
        let logs = namespace.kubectl(["logs", "visits-0"]).await?;
        ensure!(
            logs.to_lowercase().contains("read-only"),
            "the log does not say why: {logs}"
        );
        let reading = u64::from_le_bytes(before[..].try_into()?);
        ensure!(
            counter.count(0).await? == reading,
            "it cannot be read any more"
        );
        ensure!(disk.read("visits.bin").await? == before);

        // Mended. This pod will never know: kubelet has mounted for it what was read-only then. The next one does.
        disk.writable().await?;
        namespace.wait(POD, ["delete", "pod", "visits-0"]).await?;
        Pod::ready(namespace, "visits-0").await?;
        let served = visitors::visits(counter.address().await?, 1).await?;
        ensure!(
            served.total() == 1 && counter.count(0).await? > reading,
            "{served:?}"
        );
        Ok(())
    })
    .await
}
