//! Whether `logs`, `describe` and `top` tell an operator the truth.

use crate::cluster::Cluster;
use crate::counter::Counter;
use crate::health::misbehaving;
use crate::manifests::Manifests;
use crate::namespace::Namespace;
use crate::pods::{Pod, working_set};
use crate::visitors;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::time::Duration;
use visits_tests::wait;

/// How long it may take until the first figures of a new pod are there: kubelet and metrics-server both look at intervals.
const FIGURES: Duration = Duration::from_secs(120);

#[tokio::test]
#[ignore = "needs a cluster"]
async fn top_tells_the_memory_that_the_kernel_has_counted() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        let counter = Counter::start(namespace, &Manifests::base()).await?;
        visitors::visits_to_all(counter.address().await?).await?;
        let top = ["top", "pod", "visits-0", "--containers", "--no-headers"];
        let told = wait::until_every(
            Duration::from_secs(1),
            "figures of visits-0",
            FIGURES,
            async || Ok(namespace.kubectl(top).await.ok()),
        )
        .await?;
        let row: Vec<&str> = told.split_whitespace().collect();
        ensure!(row[..2] == ["visits-0", "visits"], "{told}");
        ensure!(row[2].ends_with('m'), "{told}");
        let told_memory: u64 = row[3]
            .strip_suffix("Mi")
            .with_context(|| told.clone())?
            .parse()?;
        let process = counter.pod(0).await?.process(&cluster).await?;
        let counted = working_set(&cluster, process).await? >> 20;
        // They look at different moments.
        ensure!(
            told_memory > 0 && told_memory.abs_diff(counted) <= 3 + counted / 4,
            "{told_memory} MiB are told and {counted} MiB counted"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn describe_and_logs_tell_how_a_pod_started() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        Counter::start(namespace, &Manifests::base()).await?;
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
async fn a_container_beyond_its_memory_limit_is_called_oomkilled_and_restarted() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        // A ceiling above the limit, which only an operator who asks for it gets.
        let manifests = misbehaving(&cluster, &["--memory-limit", "1GiB"]).await?;
        Counter::start(namespace, &manifests).await?;
        let allocate = format!(
            "/api/v1/namespaces/{}/pods/visits-0:5000/proxy/allocate",
            namespace.name()
        );
        let answer = namespace.kubectl(["get", "--raw", &allocate]).await;
        ensure!(answer.is_err(), "an answer in spite of all: {answer:?}");
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
