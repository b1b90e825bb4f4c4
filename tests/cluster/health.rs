//! kubelet's probes and their effects: readiness follows the volume, liveness follows the process, and the host itself replaces
//! a guest that hangs.

use crate::cluster::Cluster;
use crate::disk::Disk;
use crate::images;
use crate::manifests::Manifests;
use crate::namespace::Namespace;
use crate::pods::Pod;
use crate::stateful_set::StatefulSet;
use crate::visitors;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::time::Duration;
use visits_tests::{DEADLINE, get, wait};

/// The time in which the manifests' probes detect a dead process and kubelet replaces it.
const LIVENESS: Duration = Duration::from_secs(180);

#[tokio::test]
#[ignore = "needs the node: remounts a volume on it"]
async fn a_read_only_volume_takes_its_pod_out_of_the_service_and_a_writable_one_back_without_a_restart()
-> Result<()> {
    let cluster = Cluster::shared().await?;
    let disk = Disk::new(&cluster).await?;
    Namespace::with(&cluster, async |namespace| {
        let counters = StatefulSet::start_on(namespace, &disk).await?;
        let address = counters.address().await?;
        visitors::visits(address, 3).await?;
        disk.make_read_only().await?;
        let reply = get(address, "/").await?;
        ensure!(reply.status == 503, "{}: {}", reply.status, reply.text());
        let pod = Pod::once(namespace, "visits-0", "it is not ready", |pod| {
            !pod.is_ready()
        })
        .await?;
        pod.check_not_restarted()?;
        namespace
            .event(
                "visits-0",
                "Readiness probe failed: HTTP probe failed with statuscode: 503",
            )
            .await?;
        let endpoints = [
            "get",
            "endpointslices",
            "--selector=kubernetes.io/service-name=visits",
        ];
        let endpoints = namespace.json(endpoints).await?;
        let ready = &endpoints["items"][0]["endpoints"][0]["conditions"]["ready"];
        ensure!(*ready == Value::Bool(false), "{endpoints}");

        disk.make_writable().await?;
        let pod = Pod::ready(namespace, "visits-0").await?;
        pod.check_not_restarted()?;
        let served = visitors::visits(counters.address().await?, 4).await?;
        ensure!(
            served.total() == 4 && counters.count(0).await? == 7,
            "{served:?}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
#[ignore = "needs the node: stops a process on it"]
async fn a_host_that_is_stopped_is_restarted_and_the_count_goes_on() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        let manifests = Manifests::only_people_count().with_replicas(1)?;
        let counters = StatefulSet::start(namespace, &manifests).await?;
        visitors::visits(counters.address().await?, 3).await?;
        let process = counters.pod(0).await?.process(&cluster).await?;
        cluster
            .node(["kill", "-STOP", &process.to_string()])
            .await?;
        let restarted = |pod: &Pod| pod.restarts() == 1 && pod.is_ready();
        let pod = Pod::once_within(
            LIVENESS,
            namespace,
            "visits-0",
            "it is restarted",
            restarted,
        )
        .await?;
        ensure!(pod.last_end()["exitCode"] == 137, "{}", pod.last_end());
        namespace.event("visits-0", "Liveness probe failed").await?;
        namespace
            .event("visits-0", "failed liveness probe, will be restarted")
            .await?;
        let previous = namespace
            .kubectl(["logs", "--previous", "visits-0"])
            .await?;
        ensure!(previous.contains("listening"), "{previous}");
        visitors::visits(counters.address().await?, 4).await?;
        ensure!(counters.count(0).await? == 7);
        Ok(())
    })
    .await
}

/// Returns the manifests with one pod of the component that misbehaves. The probes differ from the counter's in their path.
pub(crate) async fn misbehaving(cluster: &Cluster, arguments: &[&str]) -> Result<Manifests> {
    let container = "/spec/template/spec/containers/0";
    let mut operations =
        vec![json!({ "op": "add", "path": format!("{container}/args"), "value": arguments })];
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        let path = format!("{container}/{probe}/httpGet/path");
        operations.push(json!({ "op": "replace", "path": path, "value": "/hello" }));
    }
    let probe = images::probe(cluster).await?;
    Manifests::base()
        .with_image(probe)?
        .with_replicas(1)?
        .with_patch(operations.into())
}

#[tokio::test]
#[ignore = "needs the node: compares processes on it"]
async fn a_guest_that_computes_for_ever_is_replaced_without_a_restart() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        let manifests = misbehaving(&cluster, &[]).await?;
        let counters = StatefulSet::start(namespace, &manifests).await?;
        let process = counters.pod(0).await?.process(&cluster).await?;
        let response = namespace.get("visits-0", "/loop").await;
        let refused = response
            .err()
            .context("a guest that computes for ever responded")?;
        wait::until_every(
            Duration::from_millis(300),
            "a response of a new guest",
            DEADLINE,
            async || Ok(namespace.get("visits-0", "/hello").await.ok()),
        )
        .await?;
        let pod = Pod::ready(namespace, "visits-0").await?;
        ensure!(
            pod.restarts() == 0,
            "{} restarts: {refused:#}",
            pod.restarts()
        );
        ensure!(
            pod.process(&cluster).await? == process,
            "it is another process"
        );
        let logs = namespace.kubectl(["logs", "visits-0"]).await?;
        ensure!(
            logs.contains("WARN") || logs.contains("ERROR"),
            "no warning in the log: {logs}"
        );
        Ok(())
    })
    .await
}
