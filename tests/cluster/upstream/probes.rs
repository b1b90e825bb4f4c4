//! Probes of one container.

use crate::cluster::Cluster;
use crate::images;
use crate::kubectl::ROLLOUT;
use crate::namespace::Namespace;
use crate::pods::Pod;
use crate::specs;
use anyhow::{Result, ensure};
use serde_json::{Value, json};

/// Returns a container whose component misbehaves on request, with this probe.
fn probed(image: &str, kind: &str, probe: &Value) -> Value {
    let mut container = specs::component("probed");
    container["image"] = image.into();
    container[kind] = probe.clone();
    container[kind]["periodSeconds"] = 1.into();
    container[kind]["failureThreshold"] = 1.into();
    container[kind]["timeoutSeconds"] = 20.into();
    container
}

fn http(path: &str) -> Value {
    json!({ "httpGet": { "path": path, "port": 5000 } })
}

/// Probing container: "should be restarted with a /healthz http liveness probe", and "should have monotonically increasing
/// restart count".
#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_component_that_fails_its_http_liveness_probe_is_restarted_again_and_again() -> Result<()>
{
    let cluster = Cluster::shared().await?;
    let image = images::probe(&cluster).await?;
    Namespace::with(&cluster, async |namespace| {
        let container = probed(image, "livenessProbe", &http("/no-such-path"));
        namespace
            .apply(specs::pod("liveness", &[container]))
            .await?;
        let mut last = 0;
        while last < 3 {
            let more = |pod: &Pod| pod.restarts() > last;
            let what = format!("more than {last} restarts");
            let pod = Pod::once_within(ROLLOUT, namespace, "liveness", &what, more).await?;
            last = pod.restarts();
        }
        Ok(())
    })
    .await
}

/// Probing container: "should *not* be restarted with a /healthz http liveness probe", "should *not* be restarted with a
/// tcp:8080 liveness probe" and "should *not* be restarted with a exec "cat /tmp/health" liveness probe".
#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_component_that_passes_its_liveness_probes_is_not_restarted() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let image = images::probe(&cluster).await?;
    Namespace::with(&cluster, async |namespace| {
        let probes = [
            ("http", http("/hello")),
            ("tcp", json!({ "tcpSocket": { "port": 5000 } })),
            ("exec", specs::exec(&["cat", "/app/spin.toml"])),
        ];
        for (name, probe) in &probes {
            let mut container = probed(image, "livenessProbe", probe);
            // Its readiness counts the seconds in which liveness is probed.
            container["readinessProbe"] = http("/hello");
            container["readinessProbe"]["initialDelaySeconds"] = 10.into();
            namespace.apply(specs::pod(name, &[container])).await?;
        }
        for (name, _) in &probes {
            Pod::ready(namespace, name).await?.check_not_restarted()?;
        }
        Ok(())
    })
    .await
}

/// Probing container: "with readiness probe should not be ready before initial delay and never restart".
#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_component_is_not_ready_before_the_initial_delay() -> Result<()> {
    const DELAY: u64 = 8;
    let cluster = Cluster::shared().await?;
    let image = images::probe(&cluster).await?;
    Namespace::with(&cluster, async |namespace| {
        let mut container = probed(image, "readinessProbe", &http("/hello"));
        container["readinessProbe"]["initialDelaySeconds"] = DELAY.into();
        namespace.apply(specs::pod("delayed", &[container])).await?;
        let pod = Pod::ready(namespace, "delayed").await?;
        pod.check_not_restarted()?;
        let delay = pod.seconds_until_ready()?;
        // The times have whole seconds.
        ensure!(delay >= DELAY - 1, "ready after {delay} s");
        Ok(())
    })
    .await
}

/// Probing container: "with readiness probe that fails should never be ready and never restart".
#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_component_whose_readiness_probe_fails_is_neither_ready_nor_restarted() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let image = images::probe(&cluster).await?;
    Namespace::with(&cluster, async |namespace| {
        let missing = specs::exec(&["test", "-e", "/missing"]);
        let container = probed(image, "readinessProbe", &missing);
        namespace.apply(specs::pod("unready", &[container])).await?;
        namespace.event("unready", "Readiness probe failed").await?;
        let pod = Pod::read(namespace, "unready").await?;
        ensure!(pod.runs() && !pod.is_ready(), "{}", pod.phase());
        pod.check_not_restarted()
    })
    .await
}
