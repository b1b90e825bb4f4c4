//! Memory: the limit that the pod gives, the component's own ceiling below it, and the figures that are told.

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
    let pod = Pod::start(&node, HANDLER).await?;
    // A ceiling above the limit, which only an operator who asks for it gets.
    let command = ["/app/spin.toml", "--memory-limit", "1GiB"];
    let setup = Setup::of(images::PROBE).command(command).memory(LIMIT);
    let container = pod.run(&node, setup).await?;
    container.listens(&pod, &node).await?;
    get(pod.address(), "/allocate")
        .await
        .err()
        .context("an answer in spite of all")?;
    let status = container.ended(&node).await?;
    assert_eq!(status["exitCode"], 137, "{status}");
    assert_eq!(status["reason"], "OOMKilled", "{status}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_component_reaches_its_own_ceiling_before_the_containers_limit() -> Result<()> {
    let node = Node::shared().await?;
    let pod = Pod::start(&node, HANDLER).await?;
    let container = pod
        .run(&node, Setup::of(images::PROBE).memory(LIMIT))
        .await?;
    container.listens(&pod, &node).await?;
    let pid = container.pid().await?;
    for _ in 0..3 {
        let reply = get(pod.address(), "/allocate").await?;
        assert_eq!(reply.status, 500, "{}", reply.text());
    }
    // A new instance has taken over, in the same process.
    wait::until("it serves again", DEADLINE, async || {
        Ok(get(pod.address(), "/hello")
            .await
            .ok()
            .filter(|reply| reply.status == 200))
    })
    .await?;
    assert_eq!(container.pid().await?, pid);
    assert_eq!(container.status().await?["state"], "CONTAINER_RUNNING");
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_program_that_runs_out_of_memory_is_called_oomkilled_every_time() -> Result<()> {
    let node = Node::shared().await?;
    let pod = Pod::start(&node, HANDLER).await?;
    for cycle in 0..20 {
        let setup = Setup::native("exec cat /dev/zero > /dev/shm/all").memory(16 << 20);
        let container = pod.run(&node, setup).await?;
        let status = container.ended(&node).await?;
        assert_eq!(status["reason"], "OOMKilled", "{cycle}: {status}");
    }
    // One that is killed for another reason, beside them.
    let container = pod.run(&node, Setup::native("sleep 1000")).await?;
    container.stop(0).await?;
    let status = container.ended(&node).await?;
    assert_eq!(status["exitCode"], 137, "{status}");
    assert_eq!(status["reason"], "Error", "{status}");
    Ok(())
}

/// Whether two figures are the same but for what changes while one looks twice.
#[track_caller]
fn assert_close(told: u64, counted: u64) {
    let apart = told.abs_diff(counted);
    assert!(
        apart <= counted / 20 + (256 << 10),
        "told {told}, counted {counted}"
    );
}

async fn metrics_are_the_cgroups(runtime: Runtime) -> Result<()> {
    let node = Node::shared().await?;
    let script = "httpd -f -p 5000 -h /tmp";
    let container = match runtime {
        Runtime::Preopen => Container::of(images::VISITS).start(&node).await?,
        Runtime::Runc => {
            Container::native(script)
                .runtime(runtime)
                .start(&node)
                .await?
        }
    };
    let told = ctr::run(["tasks", "metrics", "--format", "json", container.id()]).await?;
    let told: serde_json::Value = serde_json::from_str(&told).with_context(|| told.clone())?;
    let usage = &told["memory"]["usage"];
    let usage = usage.as_u64().or_else(|| usage["usage"].as_u64());
    assert_close(
        usage.with_context(|| told.to_string())?,
        cgroup::memory(container.cgroup())?,
    );
    let processes = told["pids"]["current"].as_u64();
    let threads = std::fs::read_dir(format!("/proc/{}/task", container.pid().await?))?.count();
    ensure!(
        processes == Some(threads as u64),
        "{threads} threads in {told}"
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
async fn what_kubelet_is_told_of_memory_is_what_the_cgroup_holds() -> Result<()> {
    let node = Node::shared().await?;
    let pod = Pod::start(&node, HANDLER).await?;
    let container = pod
        .run(&node, Setup::of(images::PROBE).memory(LIMIT))
        .await?;
    container.listens(&pod, &node).await?;
    let stats = container.stats().await?;
    let told = stats["memory"]["usageBytes"]["value"].as_str();
    let told: u64 = told.with_context(|| stats.to_string())?.parse()?;
    let own = cgroup::of(container.pid().await?, "memory")?;
    ensure!(
        own.starts_with(pod.cgroup()),
        "{own} is not below {}",
        pod.cgroup()
    );
    assert_close(told, cgroup::memory(&own)?);
    let available = stats["memory"]["availableBytes"]["value"]
        .as_str()
        .unwrap_or("0");
    ensure!(
        available.parse::<u64>()? < LIMIT,
        "the limit is not seen: {stats}"
    );
    Ok(())
}
