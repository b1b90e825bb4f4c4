//! The counter on a cluster whose nodes, pods and Services have no IPv4 address.
//!
//! `cargo xtask test cluster` brings up another cluster for this test, after the suite's own.

use crate::cluster::Cluster;
use crate::counter::Counter;
use crate::execs::Exec;
use crate::manifests::Manifests;
use crate::namespace::Namespace;
use crate::visitors;
use anyhow::{Result, ensure};

#[tokio::test]
#[ignore = "needs a cluster"]
async fn the_counter_becomes_ready_counts_and_is_read() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        // The kubelet's probes make the pods ready.
        let counter = Counter::start(namespace, &Manifests::only_people_count()).await?;
        let address = counter.address().await?;
        ensure!(address.is_ipv6(), "{address}");
        let before = counter.counts().await?;
        let served = visitors::visits_to_all(address).await?;
        let after = counter.counts().await?;
        served.were_counted(before, after)?;
        for (number, count) in after.iter().enumerate() {
            let words = ["cat", "/app/persistent/visits.bin"];
            let bytes = Exec::of(namespace, &format!("visits-{number}"))
                .bytes(&words)
                .await?;
            ensure!(
                bytes == count.to_le_bytes(),
                "visits-{number}: {bytes:?}, and {count} was counted"
            );
        }
        Ok(())
    })
    .await
}
