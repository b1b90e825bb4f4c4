//! Exec probes: they pass, fail and time out, in a component and in a native container under the shim.

use crate::cluster::Cluster;
use crate::execs::Exec;
use crate::namespace::{Namespace, items};
use crate::pods::Pod;
use crate::specs;
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::time::Duration;
use visits_tests::wait;

/// A file that makes the component ready.
const READY: &str = "/app/persistent/ready";

/// A file that makes kubelet restart it.
const DEAD: &str = "/app/persistent/dead";

/// The deadline for three probes to time out.
const TIMEOUTS: Duration = Duration::from_secs(90);

/// Returns a probe that runs this command each second and fails at the first failure.
fn each_second(words: &[&str]) -> Value {
    let mut probe = specs::exec(words);
    probe["periodSeconds"] = 1.into();
    probe["failureThreshold"] = 1.into();
    // The default is one second, and an exec on a busy machine may take longer.
    probe["timeoutSeconds"] = 20.into();
    probe
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn exec_probes_of_a_component_decide_whether_it_is_ready_and_when_it_is_restarted()
-> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        let mut component = specs::component("visits");
        // The files lie in the container's own file system, so the next container starts without them.
        component["volumeMounts"] = json!([]);
        component["readinessProbe"] = each_second(&["test", "-e", READY]);
        component["livenessProbe"] = each_second(&["test", "!", "-e", DEAD]);
        namespace.apply(specs::pod("counter", &[component])).await?;
        namespace.event("counter", "Readiness probe failed").await?;
        let exec = || Exec::of(namespace, "counter");
        exec().text(&["touch", READY]).await?;
        Pod::ready(namespace, "counter").await?;
        exec().text(&["rm", READY]).await?;
        let what = "it is not ready";
        let pod = Pod::once(namespace, "counter", what, |pod| !pod.is_ready()).await?;
        pod.check_not_restarted()?;
        exec().text(&["touch", READY]).await?;
        Pod::ready(namespace, "counter").await?;

        exec().text(&["touch", DEAD]).await?;
        namespace.event("counter", "Liveness probe failed").await?;
        let restarted = |pod: &Pod| pod.restarts() == 1 && pod.runs();
        Pod::once(namespace, "counter", "it is restarted", restarted).await?;
        exec().text(&["touch", READY]).await?;
        let pod = Pod::ready(namespace, "counter").await?;
        ensure!(pod.restarts() == 1, "{} restarts", pod.restarts());
        Ok(())
    })
    .await
}

#[tokio::test]
#[ignore = "needs the node: counts processes on it"]
async fn an_exec_probe_that_times_out_is_killed() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        let sleep = "exec sleep 1000";
        let containers = [specs::component("visits"), specs::native("native", sleep)];
        let containers = containers.map(|mut container| {
            let mut probe = specs::exec(&["sleep", "2718"]);
            probe["periodSeconds"] = 3.into();
            probe["timeoutSeconds"] = 1.into();
            container["readinessProbe"] = probe;
            container
        });
        namespace.apply(specs::pod("pod", &containers)).await?;
        let running = |pod: &Pod| pod.phase() == "Running";
        Pod::once(namespace, "pod", "its containers run", running).await?;
        for container in ["visits", "native"] {
            let what = format!("three probes of {container} have timed out");
            let pause = Duration::from_millis(500);
            wait::until_every(pause, &what, TIMEOUTS, async || {
                let timeouts = timeouts(namespace, container).await?;
                Ok((timeouts >= 3).then_some(()))
            })
            .await?;
        }
        // One probe may be in progress. Without the kills there would be three.
        let pod = Pod::read(namespace, "pod").await?;
        ensure!(
            !pod.is_ready() && pod.restarts() == 0,
            "ready, or {} restarts",
            pod.restarts()
        );
        for id in pod.container_ids()? {
            // grep fails if a process of the node ends meanwhile, even if it has found matches.
            let processes = cluster
                .shell(&format!("grep -ls {id} /proc/[0-9]*/cgroup || true"))
                .await?;
            let count = processes.lines().count();
            ensure!(
                (1..=2).contains(&count),
                "{count} processes in {id}: {processes}"
            );
        }
        Ok(())
    })
    .await
}

/// Returns how many probes of a container have timed out.
async fn timeouts(namespace: &Namespace<'_>, container: &str) -> Result<u64> {
    let events = namespace.json(["get", "events"]).await?;
    let of_it = json!(format!("spec.containers{{{container}}}"));
    let timed_out = items(&events).filter(|event| {
        let message = event["message"].as_str().unwrap_or_default();
        event["involvedObject"]["fieldPath"] == of_it
            && message.starts_with("Readiness probe")
            && message.contains("timed out")
    });
    Ok(timed_out
        .map(|event| event["count"].as_u64().unwrap_or(1))
        .sum())
}
