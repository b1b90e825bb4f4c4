//! What kubelet's probes find out, and what becomes of it: readiness follows the volume, liveness the process, and a
//! guest that hangs is the host's own affair.

use crate::cluster::Cluster;
use crate::counter::Counter;
use crate::disk::Disk;
use crate::images;
use crate::manifests::Manifests;
use crate::namespace::Namespace;
use crate::pods::Pod;
use crate::visitors;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::time::Duration;
use visits_tests::{DEADLINE, get, wait};

/// As long as the probes of the manifests take at most to find a dead process and kubelet to replace it.
const LIVENESS: Duration = Duration::from_secs(180);

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_volume_that_becomes_read_only_takes_its_pod_out_of_the_service_and_back_without_a_restart()
-> Result<()> {
    let cluster = Cluster::shared().await?;
    let disk = Disk::new(&cluster).await?;
    Namespace::with(&cluster, async |namespace| {
        let manifests = Manifests::only_people_count().with_patch(disk.patch().into())?;
        let counter = Counter::start(namespace, &manifests).await?;
        let address = counter.address().await?;
        visitors::visits(address, 3).await?;
        disk.read_only().await?;
        let reply = get(address, "/").await?;
        ensure!(reply.status == 503, "{}: {}", reply.status, reply.text());
        let pod = Pod::once(namespace, "visits-0", "it is not ready", |pod| {
            !pod.is_ready()
        })
        .await?;
        ensure!(pod.restarts() == 0, "{} restarts", pod.restarts());
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

        disk.writable().await?;
        let pod = Pod::ready(namespace, "visits-0").await?;
        ensure!(pod.restarts() == 0, "{} restarts", pod.restarts());
        let served = visitors::visits(counter.address().await?, 4).await?;
        ensure!(
            served.total() == 4 && counter.count(0).await? == 7,
            "{served:?}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_host_that_is_stopped_is_restarted_and_the_count_goes_on() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        let one = json!([{ "op": "add", "path": "/spec/replicas", "value": 1 }]);
        let manifests = Manifests::only_people_count().with_patch(one)?;
        let counter = Counter::start(namespace, &manifests).await?;
        visitors::visits(counter.address().await?, 3).await?;
        let process = counter.pod(0).await?.process(&cluster).await?;
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
        visitors::visits(counter.address().await?, 4).await?;
        ensure!(counter.count(0).await? == 7);
        Ok(())
    })
    .await
}

/// The manifests with one pod of the component that misbehaves, whose probes are the counter's but for the path.
pub(crate) async fn misbehaving(cluster: &Cluster, arguments: &[&str]) -> Result<Manifests> {
    let container = "/spec/template/spec/containers/0";
    let mut operations = vec![
        json!({ "op": "add", "path": "/spec/replicas", "value": 1 }),
        json!({ "op": "add", "path": format!("{container}/args"), "value": arguments }),
    ];
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        let path = format!("{container}/{probe}/httpGet/path");
        operations.push(json!({ "op": "replace", "path": path, "value": "/hello" }));
    }
    let probe = images::probe(cluster).await?;
    Manifests::base()
        .with_image(probe)?
        .with_patch(operations.into())
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_guest_that_computes_for_ever_is_replaced_without_a_restart() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        let manifests = misbehaving(&cluster, &[]).await?;
        let counter = Counter::start(namespace, &manifests).await?;
        let process = counter.pod(0).await?.process(&cluster).await?;
        let loops = format!(
            "/api/v1/namespaces/{}/pods/visits-0:5000/proxy/loop",
            namespace.name()
        );
        let answer = namespace.kubectl(["get", "--raw", &loops]).await;
        let refused = answer
            .err()
            .context("an answer from a guest that computes for ever")?;
        let hello = loops.replace("/loop", "/hello");
        wait::until_every(
            Duration::from_millis(300),
            "a new guest answers",
            DEADLINE,
            async || Ok(namespace.kubectl(["get", "--raw", &hello]).await.ok()),
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
            "the log says nothing of it: {logs}"
        );
        Ok(())
    })
    .await
}
