//! Updates of a StatefulSet.

use super::Set;
use crate::cluster::Cluster;
use crate::images::{self, VISITS};
use crate::namespace::Namespace;
use crate::pods::Pod;
use anyhow::{Result, ensure};
use serde_json::json;

impl Set<'_> {
    async fn set_image(&self, name: &str) -> Result<()> {
        let path = "/spec/template/spec/containers/0/image";
        let patch = json!([{ "op": "replace", "path": path, "value": name }]);
        let patch = format!("--patch={patch}");
        let words = ["patch", "statefulset", "ss", "--type=json", &patch];
        self.namespace.kubectl(words).await.map(drop)
    }

    async fn set_partition(&self, partition: usize) -> Result<()> {
        let rolling =
            json!({ "type": "RollingUpdate", "rollingUpdate": { "partition": partition } });
        self.patch(&json!({ "spec": { "updateStrategy": rolling } }))
            .await
    }
}

/// StatefulSet, Basic StatefulSet functionality: "should perform rolling updates and roll backs of template modifications".
#[tokio::test]
#[ignore = "needs a cluster"]
async fn rolling_updates_and_roll_backs_wait_for_a_broken_component() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let next = images::next(&cluster).await?;
    Namespace::with(&cluster, async |namespace| {
        let set = Set::start(namespace).await?;
        let (first, same) = set.revisions().await?;
        ensure!(first == same, "an update before the first: {first}, {same}");
        for image in [next, VISITS] {
            let (present, _) = set.revisions().await?;
            set.set_broken(1, true).await?;
            set.set_image(image).await?;
            let (_, update) = set.revisions().await?;
            ensure!(
                present != update,
                "the update to {image} has the revision {update}"
            );
            for number in [0, 2] {
                let pod = Pod::read(namespace, &format!("ss-{number}")).await?;
                let revision = pod.label("controller-revision-hash");
                ensure!(
                    revision == present,
                    "ss-{number} was updated while ss-1 is broken"
                );
            }
            set.set_broken(1, false).await?;
            set.rolled_out().await?;
            set.once_revisions_are([&update; 3]).await?;
        }
        let (last, _) = set.revisions().await?;
        ensure!(
            last == first,
            "the roll back has the revision {last}, not {first}"
        );
        Ok(())
    })
    .await
}

/// StatefulSet, Basic StatefulSet functionality: "should perform canary updates and phased rolling updates of template
/// modifications".
#[tokio::test]
#[ignore = "needs a cluster"]
async fn canary_and_phased_updates_keep_the_revision_of_each_component() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let next = images::next(&cluster).await?;
    Namespace::with(&cluster, async |namespace| {
        let set = Set::start(namespace).await?;
        let (old, _) = set.revisions().await?;
        set.set_partition(3).await?;
        set.set_image(next).await?;
        let (_, new) = set.revisions().await?;
        ensure!(old != new, "the update has the revision {new}");
        set.once_revisions_are([&old; 3]).await?;
        // The canary.
        set.set_partition(2).await?;
        set.once_revisions_are([&old, &old, &new]).await?;
        // Pods that are deleted come back with the revision of their number.
        let delete = ["delete", "pod", "ss-0", "ss-2", "--wait=false"];
        namespace.kubectl(delete).await?;
        set.once_revisions_are([&old, &old, &new]).await?;
        // The phases.
        set.set_partition(1).await?;
        set.once_revisions_are([&old, &new, &new]).await?;
        set.set_partition(0).await?;
        set.once_revisions_are([&new; 3]).await?;
        let (present, _) = set.revisions().await?;
        ensure!(
            present == new,
            "the present revision is {present}, not {new}"
        );
        Ok(())
    })
    .await
}
