//! Starts that fail half-way: the container ends with a message and can be removed, and nothing hangs.
//!
//! Each test takes something away from the container, such as threads or a system call, so that the shim, libcontainer or
//! the host fails at another step.

use crate::container::{Container, ContainerBuilder};
use crate::cri::{HANDLER, Pod, Setup};
use crate::leftovers::{Leftovers, cycles_leave_nothing};
use crate::node::Node;
use crate::{cgroup, images};
use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use visits_tests::{DEADLINE, Signal, get, load, wait};

/// A log to which nothing can be written.
const FULL_LOG: [&str; 2] = ["--log-uri", "file:///dev/full"];

/// The result of a start.
#[derive(Debug)]
enum Start {
    /// The container answers requests.
    Serves,
    /// `ctr` has ended with this exit code and this text on stderr.
    Fails(i32, String),
}

/// Starts a container and waits until it serves or has ended. One that serves is stopped, which must succeed.
async fn start(node: &Node, builder: ContainerBuilder) -> Result<Start> {
    let container = builder.spawn().await?;
    let address = container.address();
    let serves = wait::until("the container answers or ends", DEADLINE, async || {
        if container.has_exited() {
            return Ok(Some(false));
        }
        // It accepts connections before it has everything that it needs.
        Ok(get(address, "/").await.ok().map(|_| true))
    })
    .await;
    let start = if node.with_log(container.with_output(serves))? {
        assert_eq!(container.stop(node).await?.code, 0);
        Start::Serves
    } else {
        let code = container.exited(node).await?;
        Start::Fails(code, container.stderr().lines().join("\n"))
    };
    container.remove().await?;
    Ok(start)
}

/// Whether a message is that of libcontainer or of the host about a missing thread.
fn lacks_threads(message: &str) -> bool {
    let messages = [
        "failed to clone process",
        "Resource temporarily unavailable",
    ];
    messages.iter().any(|text| message.contains(text))
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
        match start(&node, builder).await? {
            Start::Serves => served += 1,
            Start::Fails(code, stderr) => {
                refused += 1;
                ensure!(code == 1 && lacks_threads(&stderr), "{code}: {stderr}");
            }
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
    let mut starts = Vec::new();
    for limit in 1..=8 {
        let pod = Pod::start(&node, HANDLER).await?;
        // The pause container has two; the rest is for the container.
        cgroup::limit_processes(pod.cgroup(), 2 + limit)?;
        starts.push(match pod.run(&node, Setup::of(images::HELLO)).await {
            Err(error) => {
                let error = format!("{error:#}");
                ensure!(lacks_threads(&error), "limit {limit}: {error}");
                "refused"
            }
            Ok(container) => {
                container.stop(10).await?;
                let status = container.ended(&node).await?;
                let log = container.log().concat();
                match status["exitCode"].as_i64() {
                    Some(0) => "served",
                    Some(1) if lacks_threads(&log) => "failed",
                    _ => bail!("limit {limit}: {status}: {log}"),
                }
            }
        });
        pod.stop().await?;
    }
    ensure!(
        starts[0] == "refused" && starts.contains(&"failed") && starts[7] == "served",
        "{starts:?}"
    );
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

/// The start of a container that lacks a system call.
#[derive(Clone, Copy, Debug)]
enum Expected {
    /// It does not make the call, or can do without it.
    Serves,
    /// It ends with 1 and this text on stderr.
    Fails(&'static str),
    /// Its process ends before it has become the container. Either containerd refuses it with a message while it is created
    /// or started, or `ctr` ends with the code of the process: 255, or that of SIGSYS.
    EndsEarly,
    /// A signal ends it, after this text on stderr.
    Dies(&'static str),
    /// The kernel kills it with SIGSYS.
    IsKilled,
}

use Expected::{Dies, EndsEarly, Fails, IsKilled, Serves};

/// The exit code of a process that SIGSYS has killed.
const SIGSYS: i32 = 128 + Signal::SYS.as_raw();

/// The host's message for a call that is denied.
const DENIED: Expected = Fails("Operation not permitted");

/// Sets of system calls, and the start without each set if the calls fail and if they kill the process.
const SYSTEM_CALLS: &[(&[&str], Expected, Expected)] = &[
    (&["clone", "clone3"], DENIED, IsKilled),
    (&["epoll_create1"], DENIED, IsKilled),
    (&["eventfd2"], DENIED, IsKilled),
    (&["socket"], DENIED, IsKilled),
    (&["bind"], DENIED, IsKilled),
    (&["listen"], DENIED, IsKilled),
    (&["accept4"], EndsEarly, EndsEarly),
    (&["openat", "openat2", "open"], DENIED, IsKilled),
    (&["mmap"], DENIED, IsKilled),
    (&["mprotect"], DENIED, IsKilled),
    (&["futex"], Dies("The futex facility"), IsKilled),
    (&["rt_sigaction"], DENIED, IsKilled),
    (&["sigaltstack"], DENIED, IsKilled),
    (&["execve", "execveat"], Serves, Serves),
    (&["close_range"], Serves, IsKilled),
    (&["prctl"], Serves, IsKilled),
    (&["getrandom"], Serves, IsKilled),
    (&["prlimit64", "getrlimit"], DENIED, IsKilled),
];

impl Expected {
    fn is(self, start: &Start) -> bool {
        match (self, start) {
            (Serves, Start::Serves) => true,
            (Fails(text), Start::Fails(1, stderr)) => stderr.contains(text),
            (EndsEarly, Start::Fails(1, stderr)) => stderr.contains("ctr: "),
            (EndsEarly, Start::Fails(code, _)) => [255, SIGSYS].contains(code),
            (Dies(text), Start::Fails(code, stderr)) => *code > 128 && stderr.contains(text),
            (IsKilled, Start::Fails(code, _)) => *code == SIGSYS,
            _ => false,
        }
    }
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_container_that_lacks_a_system_call_serves_or_ends_with_a_message() -> Result<()> {
    let node = Node::alone().await?;
    // The first container makes directories and a mount that all of them use.
    let first = start(&node, Container::of(images::HELLO)).await?;
    ensure!(matches!(first, Start::Serves), "{first:?}");
    let before = Leftovers::now()?;
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("seccomp.json");
    for (names, denied, killed) in SYSTEM_CALLS {
        for (action, expected) in [
            ("SCMP_ACT_ERRNO", denied),
            ("SCMP_ACT_KILL_PROCESS", killed),
        ] {
            let profile = json!({
                "defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{ "names": names, "action": action }],
            });
            std::fs::write(&file, profile.to_string())?;
            let builder = Container::of(images::HELLO).flag("--seccomp");
            let builder = builder.flag("--seccomp-profile").flag(&file);
            let what = || format!("without {names:?}, by {action}");
            let start = start(&node, builder).await.with_context(what)?;
            ensure!(
                expected.is(&start),
                "{}: {expected:?}, not {start:?}",
                what()
            );
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
        container.has_connection().await?;
        let ended = container.stop(&node).await?;
        assert_eq!(ended.code, 1, "{path}: {ended:?}");
        ensure!(
            ended.stderr.concat().contains("--drain-timeout"),
            "{path}: {ended:?}"
        );
        hanging.abort();
    }
    Ok(())
}
