//! Pods are replaced, and every count continues.

use crate::cluster::Cluster;
use crate::images;
use crate::kubectl::POD;
use crate::manifests::Manifests;
use crate::namespace::{Namespace, items};
use crate::pods::Pod;
use crate::stateful_set::{REPLICAS, StatefulSet};
use crate::visitors;
use anyhow::{Result, ensure};

/// Runs an event between visits. Fails unless every count is the same after it and continues with the next number.
async fn counts_outlive(
    namespace: &Namespace<'_>,
    event: impl AsyncFnOnce(&StatefulSet<'_>) -> Result<()>,
) -> Result<()> {
    let counters = StatefulSet::start(namespace, &Manifests::only_people_count()).await?;
    let address = counters.address().await?;
    let served = visitors::visits_to_all(address).await?;
    let before = counters.counts().await?;
    served.were_counted([0; REPLICAS], before)?;
    event(&counters).await?;
    let after = counters.counts().await?;
    ensure!(after == before, "from {before:?} to {after:?}");
    let served = visitors::visits_to_all(counters.address().await?).await?;
    served.were_counted(after, counters.counts().await?)
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_deleted_pod_comes_back_with_its_count() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        counts_outlive(namespace, async |counters| {
            let before = counters.pod(2).await?;
            namespace.wait(POD, ["delete", "pod", "visits-2"]).await?;
            let after = Pod::ready(namespace, "visits-2").await?;
            ensure!(before.uid() != after.uid(), "it is the same pod");
            after.check_not_restarted()
        })
        .await
    })
    .await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_count_with_visits_of_probes_continues_in_the_next_pod() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        let counters = StatefulSet::start(namespace, &Manifests::base()).await?;
        let before = counters.count(1).await?;
        ensure!(before > 0, "its probes have not visited");
        namespace.wait(POD, ["delete", "pod", "visits-1"]).await?;
        Pod::ready(namespace, "visits-1").await?;
        let after = counters.count(1).await?;
        // The probe that made it ready again was a visit.
        ensure!(after > before, "from {before} to {after}");
        Ok(())
    })
    .await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_new_image_continues_every_count() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        counts_outlive(namespace, async |counters| {
            let before = counters.pods().await?;
            let next = images::next(namespace.cluster()).await?;
            counters
                .apply(&Manifests::only_people_count().with_image(next)?)
                .await?;
            for (before, after) in before.iter().zip(counters.pods().await?) {
                ensure!(after.spec()["image"] == next, "{}", after.spec());
                ensure!(
                    before.image() != after.image(),
                    "{} still runs {}",
                    after.name(),
                    after.image()
                );
            }
            Ok(())
        })
        .await
    })
    .await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn counts_outlive_scaling_to_two_pods_and_back_to_four() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        counts_outlive(namespace, async |counters| {
            counters.scale(4, 2).await?;
            let claims = namespace.json(["get", "persistentvolumeclaims"]).await?;
            ensure!(items(&claims).count() == REPLICAS, "{claims}");
            counters.scale(2, 4).await
        })
        .await
    })
    .await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_statefulset_that_is_deleted_and_applied_again_continues_every_count() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        counts_outlive(namespace, async |counters| {
            namespace
                .wait(POD, ["delete", "statefulset", "visits"])
                .await?;
            for number in 0..REPLICAS {
                let pod = format!("pod/visits-{number}");
                namespace.wait(POD, ["wait", "--for=delete", &pod]).await?;
            }
            counters.apply(&Manifests::only_people_count()).await
        })
        .await
    })
    .await
}
