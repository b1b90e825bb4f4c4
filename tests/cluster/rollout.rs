//! A rollout that no visitor notices.

use crate::cluster::Cluster;
use crate::counter::Counter;
use crate::load::Load;
use crate::manifests::Manifests;
use crate::namespace::Namespace;
use anyhow::{Result, ensure};

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_rollout_restart_under_load_fails_no_visit_and_counts_each_once() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        let counter = Counter::start(namespace, &Manifests::only_people_count()).await?;
        let before = counter.pods().await?;
        let counts = counter.counts().await?;
        let load = Load::start(counter.address().await?);
        load.goes_on(100).await?;
        namespace
            .kubectl(["rollout", "restart", "statefulset/visits"])
            .await?;
        counter.rolled_out().await?;
        load.goes_on(100).await?;
        let report = load.end().await?;
        for (before, after) in before.iter().zip(counter.pods().await?) {
            ensure!(
                before.uid() != after.uid(),
                "{} is the same pod",
                after.name()
            );
            ensure!(after.restarts() == 0, "{} restarts", after.restarts());
        }
        let counted = counter.counts().await?;
        eprintln!(
            "{} visits of {} answered, {} attempts to connect refused; counted {counted:?}",
            report.served.total(),
            report.sent,
            report.refused
        );
        report.no_visit_failed()?;
        report.served.were_counted(counts, counted)
    })
    .await
}
