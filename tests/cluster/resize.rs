//! In-place resize: the limits that the API reports are those that the kernel enforces and the component keeps below.

use crate::cluster::Cluster;
use crate::counter::Counter;
use crate::health::misbehaving;
use crate::kubectl::POD;
use crate::limits::Limits;
use crate::load::Load;
use crate::manifests::Manifests;
use crate::namespace::Namespace;
use crate::pods::Pod;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::time::Duration;
use visits_tests::wait;

const PAUSE: Duration = Duration::from_millis(500);
const MIB: u64 = 1 << 20;

/// Requests other resources for the counter of a pod.
async fn request(namespace: &Namespace<'_>, pod: &str, resources: &Value) -> Result<()> {
    let containers = json!([{ "name": "visits", "resources": resources }]);
    let patch = json!({ "spec": { "containers": containers } }).to_string();
    let line = [
        "patch",
        "pod",
        pod,
        "--subresource=resize",
        "--patch",
        &patch,
    ];
    namespace.kubectl(line).await.map(drop)
}

/// Waits until a pod reports these resources and no resize in progress.
async fn resized(namespace: &Namespace<'_>, pod: &str, resources: &Value) -> Result<Pod> {
    let what = format!("it has {resources}");
    let done = |pod: &Pod| pod.resources() == resources && !pod.is_resizing();
    Pod::once_within(POD, namespace, pod, &what, done).await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_counter_is_resized_up_and_down_under_load_without_a_restart_or_a_lost_visit()
-> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        let counter = Counter::start(namespace, &Manifests::only_people_count()).await?;
        let counts = counter.counts().await?;
        let load = Load::start(counter.address().await?);
        load.goes_on(100).await?;
        let before = counter.pod(3).await?;
        let process = before.process(&cluster).await?;
        let mut last = Limits::of(&cluster, process).await?;
        ensure!(
            last.memory == 128 * MIB && last.cpu_time.is_none(),
            "{last:?}"
        );
        for (share, limit, memory, grows) in [(200, 500, 160, true), (20, 400, 64, false)] {
            let resources = json!({
                "requests": { "cpu": format!("{share}m"), "memory": "16Mi" },
                "limits": { "cpu": format!("{limit}m"), "memory": format!("{memory}Mi") },
            });
            request(namespace, "visits-3", &resources).await?;
            resized(namespace, "visits-3", &resources).await?;
            let now = Limits::of(&cluster, process).await?;
            ensure!(now.memory == memory * MIB, "{resources}: {now:?}");
            ensure!(
                now.cpu_time == Some(f64::from(limit) / 1000.0),
                "{resources}: {now:?}"
            );
            let grown = now.cpu_share > last.cpu_share;
            ensure!(
                now.cpu_share != last.cpu_share && grown == grows,
                "{last:?}, then {now:?}"
            );
            last = now;
            load.goes_on(100).await?;
        }

        let too_little = json!({ "requests": { "memory": "1Mi" }, "limits": { "memory": "1Mi" } });
        request(namespace, "visits-3", &too_little).await?;
        let refused = namespace.event("visits-3", "below current usage").await?;
        let now = Limits::of(&cluster, process).await?;
        ensure!(now == last, "{last:?}, then {now:?}, though: {refused}");
        load.goes_on(100).await?;
        let enough = json!({
            "requests": { "cpu": "10m", "memory": "16Mi" },
            "limits": { "cpu": "1", "memory": "128Mi" },
        });
        request(namespace, "visits-3", &enough).await?;
        let after = resized(namespace, "visits-3", &enough).await?;
        ensure!(Limits::of(&cluster, process).await?.memory == 128 * MIB);
        load.goes_on(100).await?;

        let report = load.end().await?;
        report.no_visit_failed()?;
        report
            .served
            .were_counted(counts, counter.counts().await?)?;
        ensure!(
            after.container_id()? == before.container_id()?,
            "it is another container"
        );
        for pod in counter.pods().await? {
            ensure!(
                pod.restarts() == 0 && pod.is_ready(),
                "{}: {} restarts",
                pod.name(),
                pod.restarts()
            );
        }
        Ok(())
    })
    .await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn the_ceiling_of_a_component_follows_the_limit_of_its_container() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        let counter = Counter::start(namespace, &misbehaving(&cluster, &[]).await?).await?;
        let before = counter.pod(0).await?;
        let process = before.process(&cluster).await?;
        let at = |path: &str| {
            format!(
                "/api/v1/namespaces/{}/pods/visits-0:5000/proxy{path}",
                namespace.name()
            )
        };
        // The limit in MiB and the ceiling of the component: a quarter of the limit, or 16 MiB if that is more, is the
        // host's, and no ceiling is above 128 MiB.
        for (limit, ceiling) in [(128, 96), (64, 48), (256, 128), (96, 72)] {
            let resources = json!({
                "requests": { "cpu": "10m", "memory": "16Mi" },
                "limits": { "memory": format!("{limit}Mi") },
            });
            request(namespace, "visits-0", &resources).await?;
            resized(namespace, "visits-0", &resources).await?;
            let memory = Limits::of(&cluster, process).await?.memory;
            ensure!(
                memory == limit * MIB,
                "{memory} bytes instead of {limit} MiB"
            );
            let allocated = namespace.kubectl(["get", "--raw", &at("/allocate")]).await;
            allocated
                .err()
                .context("a component that allocates for ever has answered")?;
            let refused = format!("its limit is {} ", ceiling * MIB);
            let what = format!("the log contains {refused:?}");
            wait::until_every(PAUSE, &what, POD, async || {
                let logs = namespace.kubectl(["logs", "visits-0"]).await?;
                Ok(logs.contains(&refused).then_some(()))
            })
            .await?;
            let what = format!("a new instance answers below {limit} MiB");
            wait::until_every(PAUSE, &what, POD, async || {
                Ok(namespace
                    .kubectl(["get", "--raw", &at("/hello")])
                    .await
                    .ok())
            })
            .await?;
        }
        let after = Pod::ready(namespace, "visits-0").await?;
        ensure!(
            after.restarts() == 0,
            "{} restarts: {}",
            after.restarts(),
            after.last_end()
        );
        ensure!(
            after.container_id()? == before.container_id()?,
            "it is another container"
        );
        Ok(())
    })
    .await
}
