//! Memory: the pod's limit, the component's own limit below it, and the metrics.

use crate::container::{Container, Runtime};
use crate::cri::{HANDLER, Pod, Setup};
use crate::node::Node;
use crate::{cgroup, ctr, images};
use anyhow::{Context, Result, ensure};
use visits_tests::{DEADLINE, get, wait};

const LIMIT: u64 = 64 << 20;

#[tokio::test]
#[ignore = "needs root"]
async fn a_container_beyond_its_memory_limit_is_killed_and_called_oomkilled() -> Result<()> {
    let node = Node::shared().await?;
    // The component's limit is above the container's, which it is only if the operator sets it.
    let command = ["/app/spin.toml", "--memory-limit", "1GiB"];
    let setup = Setup::of(images::PROBE).command(command).memory(LIMIT);
    let (pod, container) = Pod::serving(&node, setup).await?;
    get(pod.address(), "/allocate")
        .await
        .err()
        .context("the request was answered")?;
    let status = container.ended(&node).await?;
    assert_eq!(status["exitCode"], 137, "{status}");
    assert_eq!(status["reason"], "OOMKilled", "{status}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_component_reaches_its_own_limit_before_the_containers() -> Result<()> {
    let node = Node::shared().await?;
    let setup = Setup::of(images::PROBE).memory(LIMIT);
    let (pod, container) = Pod::serving(&node, setup).await?;
    let pid = container.pid().await?;
    for _ in 0..3 {
        let reply = get(pod.address(), "/allocate").await?;
        assert_eq!(reply.status, 500, "{}", reply.text());
    }
    // A new instance takes over in the same process.
    wait::until("a new instance answers", DEADLINE, async || {
        Ok(get(pod.address(), "/hello")
            .await
            .ok()
            .filter(|reply| reply.status == 200))
    })
    .await?;
    assert_eq!(container.pid().await?, pid);
    container.is_running().await
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_program_that_exceeds_its_memory_limit_is_called_oomkilled_every_time() -> Result<()> {
    let node = Node::shared().await?;
    let pod = Pod::start(&node, HANDLER).await?;
    for cycle in 0..20 {
        let setup = Setup::native("exec cat /dev/zero > /dev/shm/all").memory(16 << 20);
        let container = pod.run(&node, setup).await?;
        let status = container.ended(&node).await?;
        assert_eq!(status["reason"], "OOMKilled", "cycle {cycle}: {status}");
    }
    // A program that is killed for another reason in the same pod.
    let container = pod.run(&node, Setup::native("sleep 1000")).await?;
    container.stop(0).await?;
    let status = container.ended(&node).await?;
    assert_eq!(status["exitCode"], 137, "{status}");
    assert_eq!(status["reason"], "Error", "{status}");
    Ok(())
}

/// Asserts that a reported figure is that of the cgroup, within 5 % and 256 KiB: the two are read at different moments.
#[track_caller]
fn assert_close(reported: u64, counted: u64) {
    let difference = reported.abs_diff(counted);
    assert!(
        difference <= counted / 20 + (256 << 10),
        "{reported} reported, {counted} counted"
    );
}

async fn metrics_are_the_cgroups(runtime: Runtime) -> Result<()> {
    let node = Node::shared().await?;
    let builder = match runtime {
        Runtime::Preopen => Container::of(images::VISITS),
        Runtime::Runc => Container::native("httpd -f -p 5000 -h /tmp"),
    };
    let container = builder.runtime(runtime).start(&node).await?;
    let mut seen = String::new();
    // The host starts and ends threads at any time, so the two numbers may be of different moments.
    let metrics = wait::until("the metrics count its threads", DEADLINE, async || {
        seen = ctr::run(["tasks", "metrics", "--format", "json", container.id()]).await?;
        let metrics: serde_json::Value = serde_json::from_str(&seen).context(seen.clone())?;
        let threads = std::fs::read_dir(format!("/proc/{}/task", container.pid().await?))?.count();
        let counted = metrics["pids"]["current"].as_u64() == Some(threads as u64);
        Ok(counted.then_some(metrics))
    })
    .await
    .with_context(|| seen.clone())?;
    let usage = &metrics["memory"]["usage"];
    let usage = usage.as_u64().or_else(|| usage["usage"].as_u64());
    assert_close(
        usage.context(seen.clone())?,
        cgroup::memory(container.cgroup())?,
    );
    // Version 1 has the counts of OOM kills here. containerd's metrics of pods lack them without this field.
    let version_1 = metrics["memory"]["usage"].is_object();
    assert_eq!(
        metrics["memory_oom_control"].is_object(),
        version_1,
        "{seen}"
    );
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn under_runc_metrics_are_those_of_the_cgroup_which_proves_the_harness() -> Result<()> {
    metrics_are_the_cgroups(Runtime::Runc).await
}

#[tokio::test]
#[ignore = "needs root"]
async fn metrics_are_those_of_the_cgroup() -> Result<()> {
    metrics_are_the_cgroups(Runtime::Preopen).await
}

#[tokio::test]
#[ignore = "needs root"]
async fn kubelets_memory_stats_are_those_of_the_cgroup() -> Result<()> {
    let node = Node::shared().await?;
    let setup = Setup::of(images::PROBE).memory(LIMIT);
    let (pod, container) = Pod::serving(&node, setup).await?;
    let stats = container.stats().await?;
    let usage = stats["memory"]["usageBytes"]["value"].as_str();
    let usage: u64 = usage.with_context(|| stats.to_string())?.parse()?;
    let own = cgroup::of(container.pid().await?, "memory")?;
    ensure!(
        own.starts_with(pod.cgroup()),
        "{own} is not below {}",
        pod.cgroup()
    );
    assert_close(usage, cgroup::memory(&own)?);
    let available = stats["memory"]["availableBytes"]["value"].as_str();
    let available: u64 = available.with_context(|| stats.to_string())?.parse()?;
    ensure!(
        0 < available && available < LIMIT,
        "the available memory ignores the limit: {stats}"
    );
    Ok(())
}
