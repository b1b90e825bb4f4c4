//! Pod Security: the base complies with `baseline`, which every test's namespace enforces, and the overlay `fsgroup` with
//! `restricted`. Pods that do not comply are refused.

use crate::cluster::Cluster;
use crate::manifests::Manifests;
use crate::namespace::{Namespace, items};
use crate::stateful_set::{REPLICAS, StatefulSet};
use crate::visitors;
use anyhow::{Result, ensure};

#[tokio::test]
#[ignore = "needs a cluster"]
async fn the_overlay_fsgroup_runs_and_counts_where_restricted_is_enforced() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with_security(&cluster, "restricted", async |namespace| {
        let counters = StatefulSet::start(namespace, &Manifests::overlay("fsgroup")).await?;
        let before = counters.counts().await?;
        let served = visitors::visits_to_all(counters.address().await?).await?;
        let after = counters.counts().await?;
        // Probes count too.
        let counted: u64 = after.iter().sum::<u64>() - before.iter().sum::<u64>();
        ensure!(
            counted >= served.total(),
            "{counted} of {} visits",
            served.total()
        );
        Ok(())
    })
    .await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn the_base_is_refused_where_restricted_is_enforced_because_its_init_container_is_root()
-> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with_security(&cluster, "restricted", async |namespace| {
        Manifests::base().apply(namespace).await?;
        let message = namespace
            .event("visits", "violates PodSecurity \"restricted")
            .await?;
        ensure!(
            message.contains("change-ownership-of-persistent-volume"),
            "{message}"
        );
        let pods = namespace.json(["get", "pods"]).await?;
        ensure!(items(&pods).count() == 0, "{pods}");
        Ok(())
    })
    .await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn the_base_runs_where_baseline_is_enforced_and_privileges_are_refused_there() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        let counters = StatefulSet::start(namespace, &Manifests::base()).await?;
        ensure!(counters.pods().await?.len() == REPLICAS);
        let path = "/spec/template/spec/containers/0/securityContext/privileged";
        let privileged = serde_json::json!([
            { "op": "remove", "path": "/spec/template/spec/containers/0/securityContext/allowPrivilegeEscalation" },
            { "op": "add", "path": path, "value": true },
        ]);
        Manifests::base().with_patch(privileged)?.apply(namespace).await?;
        let message = namespace.event("visits", "violates PodSecurity \"baseline").await?;
        ensure!(message.contains("privileged"), "{message}");
        Ok(())
    })
    .await
}
