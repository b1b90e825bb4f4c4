//! The output of `logs`, `describe` and `top` matches the facts.

use crate::cluster::Cluster;
use crate::health::misbehaving;
use crate::manifests::Manifests;
use crate::namespace::Namespace;
use crate::pods::{Pod, working_set};
use crate::stateful_set::StatefulSet;
use crate::visitors;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::time::Duration;
use visits_tests::wait;

/// How long the first metrics of a new pod may take: kubelet and metrics-server both collect at intervals.
const METRICS: Duration = Duration::from_secs(120);

#[tokio::test]
#[ignore = "needs the node: reads cgroups on it"]
async fn top_reports_the_memory_that_the_kernel_counts() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        let counters = StatefulSet::start(namespace, &Manifests::base()).await?;
        visitors::visits_to_all(counters.address().await?).await?;
        let top = ["top", "pod", "visits-0", "--containers", "--no-headers"];
        let printed = wait::until_every(
            Duration::from_secs(1),
            "metrics of visits-0",
            METRICS,
            async || Ok(namespace.kubectl(top).await.ok()),
        )
        .await?;
        let row: Vec<&str> = printed.split_whitespace().collect();
        ensure!(row[..2] == ["visits-0", "visits"], "{printed}");
        ensure!(row[2].ends_with('m'), "{printed}");
        let reported: u64 = row[3]
            .strip_suffix("Mi")
            .with_context(|| printed.clone())?
            .parse()?;
        let process = counters.pod(0).await?.process(&cluster).await?;
        let counted = working_set(&cluster, process).await? >> 20;
        // The two are measured at different moments.
        ensure!(
            reported > 0 && reported.abs_diff(counted) <= 3 + counted / 4,
            "{reported} MiB reported, {counted} MiB counted"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn describe_and_logs_show_how_a_pod_started() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        StatefulSet::start(namespace, &Manifests::base()).await?;
        let logs = namespace.kubectl(["logs", "visits-0"]).await?;
        ensure!(
            logs.contains("listening") && logs.contains("[::]:5000"),
            "{logs}"
        );
        ensure!(!logs.contains("ERROR"), "{logs}");
        let described = namespace.kubectl(["describe", "pod", "visits-0"]).await?;
        for words in [
            "Running",
            "change-ownership-of-persistent-volume",
            "localhost/visits",
        ] {
            ensure!(described.contains(words), "{words:?} is not in {described}");
        }
        let events = described.split_once("\nEvents:").context("no events")?.1;
        for event in ["Scheduled", "Created", "Started"] {
            ensure!(events.contains(event), "no event {event}: {events}");
        }
        ensure!(!events.contains("Unhealthy"), "{events}");
        Ok(())
    })
    .await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_container_beyond_its_memory_limit_is_reported_as_oomkilled_and_restarted() -> Result<()>
{
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        // The option raises the component's ceiling above the container's limit.
        let manifests = misbehaving(&cluster, &["--memory-limit", "1GiB"]).await?;
        StatefulSet::start(namespace, &manifests).await?;
        let response = namespace.get("visits-0", "/allocate").await;
        ensure!(response.is_err(), "the component responded: {response:?}");
        let restarted = |pod: &Pod| pod.restarts() == 1 && pod.is_ready();
        let pod = Pod::once(namespace, "visits-0", "it is restarted", restarted).await?;
        let end: &Value = pod.last_end();
        ensure!(
            end["reason"] == "OOMKilled" && end["exitCode"] == 137,
            "{end}"
        );
        let described = namespace.kubectl(["describe", "pod", "visits-0"]).await?;
        ensure!(described.contains("OOMKilled"), "{described}");
        Ok(())
    })
    .await
}
