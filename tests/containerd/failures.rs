//! Starts that fail half-way: the container ends with a message and can be removed, and nothing hangs.
//!
//! Each test takes something away from the container, such as threads or a system call, so that the shim, libcontainer or
//! the host fails at another step.

use crate::container::{Container, ContainerBuilder};
use crate::cri::{HANDLER, Pod, Setup};
use crate::leftovers::{Leftovers, cycles_leave_nothing};
use crate::node::Node;
use crate::{cgroup, images};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use visits_tests::{DEADLINE, get, load, wait};

/// A log to which nothing can be written.
const FULL_LOG: [&str; 2] = ["--log-uri", "file:///dev/full"];

/// Starts a container. Returns true if it serves; then it is stopped. Returns false if it ends or is refused, with a reason.
async fn serves(node: &Node, builder: ContainerBuilder) -> Result<bool> {
    let container = builder.spawn().await?;
    let address = container.address();
    let served = wait::until("it answers or ends", DEADLINE, async || {
        if container.has_exited() {
            return Ok(Some(false));
        }
        // It takes connections before it has all it needs.
        Ok(get(address, "/").await.ok().map(|_| true))
    })
    .await
    .map_err(|error| node.failed(&format!("{:#}", container.failed(&format!("{error:#}")))))?;
    if served {
        assert_eq!(container.stop(node).await?.code, 0);
    } else {
        let code = container.exited(node).await?;
        let said = container.stderr().lines().concat();
        ensure!(code != 0, "it ended with 0: {said}");
        ensure!(
            said.contains("error") || said.contains("ctr: ") || code > 128,
            "{code}: {said:?}"
        );
    }
    container.remove().await?;
    Ok(served)
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_hundred_containers_without_enough_threads_end_with_a_message() -> Result<()> {
    let node = Node::alone().await?;
    let parent = format!("{}/threads", Node::cgroup()?);
    let (mut served, mut refused) = (0, 0);
    cycles_leave_nothing(&node, 100, &[], async |cycle| {
        // One thread more in each of ten cycles, until there are enough.
        cgroup::limit_processes(&parent, 1 + cycle % 10)?;
        let builder = Container::of(images::HELLO).cgroup(&format!("threads/{cycle}"));
        match serves(&node, builder).await? {
            true => served += 1,
            false => refused += 1,
        }
        Ok(())
    })
    .await?;
    ensure!(
        served > 0 && refused > 0,
        "{served} served, {refused} refused"
    );
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_pod_whose_container_cannot_start_is_stopped_and_removed_in_time() -> Result<()> {
    let node = Node::shared().await?;
    for limit in 1..=8 {
        let pod = Pod::start(&node, HANDLER).await?;
        // As many as the pause container has, and so many more.
        cgroup::limit_processes(pod.cgroup(), 2 + limit)?;
        // What fails to be created or started tells so; what starts may end.
        if let Ok(container) = pod.run(&node, Setup::of(images::HELLO)).await {
            container.stop(10).await?;
            container.ended(&node).await?;
        }
        pod.stop().await?;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_hundred_hosts_that_panic_end_their_containers() -> Result<()> {
    let node = Node::alone().await?;
    let name = "localhost/panics:test";
    images::import(&images::component(name, "no manifest", b"")).await?;
    cycles_leave_nothing(&node, 100, &[], async |_| {
        // The host panics when it reports the invalid manifest, because the log cannot be written.
        let builder = Container::of(name).flags(FULL_LOG);
        let container = builder.spawn().await?;
        assert_eq!(container.ended(&node).await?.code, 1);
        container.remove().await
    })
    .await
}

#[tokio::test]
#[ignore = "needs root"]
async fn visits_are_counted_while_the_log_is_full() -> Result<()> {
    let node = Node::shared().await?;
    let container = Container::of(images::VISITS).flags(FULL_LOG);
    let container = container.start(&node).await?;
    assert_eq!(load::visits(container.address(), 1, 3).await?, [1, 2, 3]);
    assert_eq!(container.stop(&node).await?.code, 0);
    Ok(())
}

/// Sets of system calls, each of which is taken away alone.
const SYSTEM_CALLS: &[&[&str]] = &[
    &["clone", "clone3"],
    &["epoll_create1"],
    &["eventfd2"],
    &["socket"],
    &["bind"],
    &["listen"],
    &["accept4"],
    &["openat", "openat2", "open"],
    &["mmap"],
    &["mprotect"],
    &["futex"],
    &["rt_sigaction"],
    &["sigaltstack"],
    &["execve", "execveat"],
    &["close_range"],
    &["prctl"],
    &["getrandom"],
    &["prlimit64", "getrlimit"],
];

#[tokio::test]
#[ignore = "needs root"]
async fn a_container_that_lacks_a_system_call_ends_with_a_message() -> Result<()> {
    let node = Node::alone().await?;
    let before = Leftovers::now()?;
    let directory = tempfile::tempdir()?;
    for action in ["SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS"] {
        for names in SYSTEM_CALLS {
            let file = directory.path().join("seccomp.json");
            let profile = json!({
                "defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{ "names": names, "action": action }],
            });
            std::fs::write(&file, profile.to_string())?;
            let builder = Container::of(images::HELLO).flag("--seccomp");
            let builder = builder.flag("--seccomp-profile").flag(&file);
            let ended = serves(&node, builder).await;
            ended.with_context(|| format!("without {names:?}, by {action}"))?;
        }
    }
    before.nothing_added(&node).await
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_component_that_traps_at_its_first_request_keeps_its_container() -> Result<()> {
    let node = Node::shared().await?;
    let container = Container::of(images::PROBE).start(&node).await?;
    let reply = get(container.address(), "/trap").await?;
    assert_eq!(reply.status, 500);
    assert_eq!(get(container.address(), "/hello").await?.status, 200);
    assert_eq!(container.stop(&node).await?.code, 0);
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_component_that_hangs_does_not_keep_its_container_from_stopping() -> Result<()> {
    let node = Node::shared().await?;
    for path in ["/hang", "/loop"] {
        let command = ["/app/spin.toml", "--drain-timeout", "1s"];
        let container = Container::of(images::PROBE)
            .command(command)
            .start(&node)
            .await?;
        let address = container.address();
        let hanging = tokio::spawn(async move { get(address, path).await.map(drop) });
        container.logs("listening").await?;
        let ended = container.stop(&node).await?;
        ensure!(ended.code <= 1, "{path}: {ended:?}");
        hanging.abort();
    }
    Ok(())
}
