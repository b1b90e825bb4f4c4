//! In-place resize: the API reports the limits that the kernel enforces and that the component stays below.

use crate::cluster::Cluster;
use crate::health::misbehaving;
use crate::kubectl::POD;
use crate::limits::Limits;
use crate::load;
use crate::manifests::Manifests;
use crate::namespace::Namespace;
use crate::pods::Pod;
use crate::stateful_set::StatefulSet;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::time::Duration;
use visits_tests::wait;

const PAUSE: Duration = Duration::from_millis(500);
const MIB: u64 = 1 << 20;

/// Requests other resources for a pod's counter.
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
#[ignore = "needs the node: reads cgroups on it"]
async fn a_resize_up_and_down_under_load_restarts_no_counter_and_loses_no_visit() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        let counters = StatefulSet::start(namespace, &Manifests::only_people_count()).await?;
        let before = counters.pod(3).await?;
        let process = before.process(&cluster).await?;
        let mut last = Limits::of(&cluster, process).await?;
        ensure!(
            last.memory == 128 * MIB && last.cpu_time.is_none(),
            "{last:?}"
        );
        load::during(&counters, async |load| {
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

            let too_little =
                json!({ "requests": { "memory": "1Mi" }, "limits": { "memory": "1Mi" } });
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
            resized(namespace, "visits-3", &enough).await?;
            ensure!(Limits::of(&cluster, process).await?.memory == 128 * MIB);
            Ok(())
        })
        .await?;
        let after = counters.pod(3).await?;
        ensure!(
            after.container_id()? == before.container_id()?,
            "it is another container"
        );
        for pod in counters.pods().await? {
            pod.check_undisturbed()?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
#[ignore = "needs the node: reads cgroups on it"]
async fn the_ceiling_of_a_component_follows_the_limit_of_its_container() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        let counters = StatefulSet::start(namespace, &misbehaving(&cluster, &[]).await?).await?;
        let before = counters.pod(0).await?;
        let process = before.process(&cluster).await?;
        // The container's limit and the component's ceiling in MiB. The host keeps a quarter of the limit, at least 16 MiB, and
        // a ceiling is at most 128 MiB.
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
            let allocated = namespace.get("visits-0", "/allocate").await;
            allocated
                .err()
                .context("a component that allocates for ever responded")?;
            let refused = format!("its limit is {} ", ceiling * MIB);
            let what = format!("the log contains {refused:?}");
            wait::until_every(PAUSE, &what, POD, async || {
                let logs = namespace.kubectl(["logs", "visits-0"]).await?;
                Ok(logs.contains(&refused).then_some(()))
            })
            .await?;
            let what = format!("a response of a new instance below {limit} MiB");
            wait::until_every(PAUSE, &what, POD, async || {
                Ok(namespace.get("visits-0", "/hello").await.ok())
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
