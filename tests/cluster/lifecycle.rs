//! Pods come and go; every count continues where it was.

use crate::cluster::Cluster;
use crate::counter::{Counter, REPLICAS};
use crate::images;
use crate::kubectl::POD;
use crate::manifests::Manifests;
use crate::namespace::{Namespace, items};
use crate::pods::Pod;
use crate::visitors;
use anyhow::{Result, ensure};

/// Counts through the Service, does something to the pods, and checks that every count is still what it was and goes
/// on with the next number.
async fn counts_outlive(
    namespace: &Namespace<'_>,
    event: impl AsyncFnOnce(&Counter<'_>) -> Result<()>,
) -> Result<()> {
    let counter = Counter::start(namespace, &Manifests::only_people_count()).await?;
    let address = counter.address().await?;
    let served = visitors::visits_to_all(address).await?;
    let before = counter.counts().await?;
    served.were_counted([0; REPLICAS], before)?;
    event(&counter).await?;
    let after = counter.counts().await?;
    ensure!(after == before, "from {before:?} to {after:?}");
    let served = visitors::visits_to_all(counter.address().await?).await?;
    served.were_counted(after, counter.counts().await?)
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_pod_that_is_deleted_comes_back_with_its_count() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        counts_outlive(namespace, async |counter| {
            let before = counter.pod(2).await?;
            namespace.wait(POD, ["delete", "pod", "visits-2"]).await?;
            let after = Pod::ready(namespace, "visits-2").await?;
            ensure!(before.uid() != after.uid(), "it is the same pod");
            ensure!(after.restarts() == 0, "{} restarts", after.restarts());
            Ok(())
        })
        .await
    })
    .await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_pod_that_probes_visit_goes_on_from_where_it_was_too() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        let counter = Counter::start(namespace, &Manifests::base()).await?;
        let before = counter.count(1).await?;
        ensure!(before > 0, "its probes have not visited");
        namespace.wait(POD, ["delete", "pod", "visits-1"]).await?;
        Pod::ready(namespace, "visits-1").await?;
        let after = counter.count(1).await?;
        // What made it ready again was a visit.
        ensure!(after > before, "from {before} to {after}");
        Ok(())
    })
    .await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_new_image_goes_on_with_every_count() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        counts_outlive(namespace, async |counter| {
            let before = counter.pods().await?;
            let next = images::next(namespace.cluster()).await?;
            counter
                .apply(&Manifests::only_people_count().with_image(next)?)
                .await?;
            for (before, after) in before.iter().zip(counter.pods().await?) {
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
async fn scaled_to_two_and_back_to_four_the_two_go_on() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        counts_outlive(namespace, async |counter| {
            counter.scale(4, 2).await?;
            let claims = namespace.json(["get", "persistentvolumeclaims"]).await?;
            ensure!(items(&claims).count() == REPLICAS, "{claims}");
            counter.scale(2, 4).await
        })
        .await
    })
    .await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_statefulset_that_is_deleted_and_applied_again_goes_on_with_every_count() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        counts_outlive(namespace, async |counter| {
            namespace
                .wait(POD, ["delete", "statefulset", "visits"])
                .await?;
            for number in 0..REPLICAS {
                let pod = format!("pod/visits-{number}");
                namespace.wait(POD, ["wait", "--for=delete", &pod]).await?;
            }
            counter.apply(&Manifests::only_people_count()).await
        })
        .await
    })
    .await
}
