//! The counter on a cluster without IPv4 addresses. `cargo xtask test cluster` brings one up for this test, after the suite's
//! own.

use crate::cluster::Cluster;
use crate::execs::Exec;
use crate::manifests::Manifests;
use crate::namespace::Namespace;
use crate::stateful_set::StatefulSet;
use crate::visitors;
use anyhow::{Result, ensure};

#[tokio::test]
#[ignore = "needs a cluster without IPv4"]
async fn the_counter_becomes_ready_counts_and_is_read() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        let counters = StatefulSet::start(namespace, &Manifests::only_people_count()).await?;
        let address = counters.address().await?;
        ensure!(address.is_ipv6(), "{address}");
        let before = counters.counts().await?;
        let served = visitors::visits_to_all(address).await?;
        let after = counters.counts().await?;
        served.were_counted(before, after)?;
        for (number, count) in after.iter().enumerate() {
            let words = ["cat", "/app/persistent/visits.bin"];
            let bytes = Exec::of(namespace, &format!("visits-{number}"))
                .bytes(&words)
                .await?;
            ensure!(
                bytes == count.to_le_bytes(),
                "visits-{number}: the file has {bytes:?}, the count is {count}"
            );
        }
        Ok(())
    })
    .await
}
