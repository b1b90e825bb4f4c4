//! A rollout under load.

use crate::cluster::Cluster;
use crate::load;
use crate::manifests::Manifests;
use crate::namespace::Namespace;
use crate::stateful_set::StatefulSet;
use anyhow::{Result, ensure};

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_rollout_restart_under_load_fails_no_visit_and_counts_each_once() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        let counters = StatefulSet::start(namespace, &Manifests::only_people_count()).await?;
        let before = counters.pods().await?;
        load::during(&counters, async |_| {
            let restart = ["rollout", "restart", "statefulset/visits"];
            namespace.kubectl(restart).await?;
            counters.rolled_out().await
        })
        .await?;
        for (before, after) in before.iter().zip(counters.pods().await?) {
            ensure!(
                before.uid() != after.uid(),
                "{} is the same pod",
                after.name()
            );
            after.check_not_restarted()?;
        }
        Ok(())
    })
    .await
}
