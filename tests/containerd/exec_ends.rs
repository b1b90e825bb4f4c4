//! Execs whose container, shim, helper or containerd ends.

use crate::container::{Container, Workload};
use crate::cri::{self, Pod, Setup};
use crate::events::Events;
use crate::images;
use crate::leftovers::Leftovers;
use crate::node::Node;
use crate::process::{self, parent};
use crate::task_api::{Shim, succeeded};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;
use visits_tests::{DEADLINE, Signal, get, wait};

const KILL: u32 = 9;

/// The workloads that are compared in pods.
const IN_PODS: [Workload; 2] = [Workload::Runc, Workload::Wasm];

/// Returns the events of an exec that runs to its end.
fn events_of(id: &str) -> [String; 3] {
    ["exec-added", "exec-started", "exit"].map(|topic| format!("{topic} {id}"))
}

#[tokio::test]
#[ignore = "needs root"]
async fn the_events_of_an_exec_come_in_containerds_order() -> Result<()> {
    let node = Node::shared().await?;
    for workload in Workload::ALL {
        let what = || format!("{workload:?}");
        let container = workload.start(&node).await?;
        let events = Events::of(container.id()).await?;
        let first = container.exec(["true"]);
        let mut expected = events_of(first.id()).to_vec();
        first.run(&node).await?;
        events.are(&expected).await.with_context(what)?;
        // An exec that cannot start is added, and has no other event.
        let missing = container.exec(["/no/such/program"]);
        expected.push(format!("exec-added {}", missing.id()));
        missing.refused(&node).await?;
        // After the exit of the next exec, no event of the missing program can still arrive.
        let next = container.exec(["true"]);
        expected.extend(events_of(next.id()));
        next.run(&node).await?;
        events.are(&expected).await.with_context(what)?;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn the_first_process_takes_its_execs_with_it_and_their_exits_come_before_its_own()
-> Result<()> {
    let node = Node::shared().await?;
    // `sleep` as process 1 has no handler for SIGTERM, so the kernel does not deliver it.
    let cases: [(&str, &[Workload]); 2] =
        [("SIGKILL", &Workload::ALL), ("SIGTERM", &[Workload::Wasm])];
    for (signal, workloads) in cases {
        for workload in workloads {
            let container = workload.start(&node).await?;
            let mut execs = Vec::new();
            for _ in 0..3 {
                let exec = container.exec(["sleep", "1000"]).start()?;
                exec.pid().await?;
                execs.push(exec);
            }
            let events = Events::of(container.id()).await?;
            let ids: BTreeSet<String> = execs
                .iter()
                .map(|exec| format!("exit {}", exec.id()))
                .collect();
            container.signal(signal).await?;
            let code = container.ended(&node).await?.code;
            assert_eq!(
                code,
                if signal == "SIGTERM" { 0 } else { 137 },
                "{workload:?}"
            );
            for exec in execs {
                assert_eq!(exec.ended(&node).await?.code, 137, "{workload:?}");
            }
            let exits = wait::until("four exits", DEADLINE, async || {
                let mut seen = events.seen();
                seen.retain(|event| event.starts_with("exit"));
                Ok((seen.len() >= 4).then_some(seen))
            })
            .await?;
            assert_eq!(exits[3], "exit", "{workload:?}: {exits:?}");
            assert_eq!(
                BTreeSet::from_iter(exits[..3].iter().cloned()),
                ids,
                "{workload:?}"
            );
            container.remove().await?;
        }
    }
    Ok(())
}

/// The kernel ends a process namespace with its first process. In a shared namespace the shim must end the execs.
#[tokio::test]
#[ignore = "needs root"]
async fn in_a_shared_process_namespace_a_container_takes_its_execs_with_it() -> Result<()> {
    let node = Node::shared().await?;
    for workload in IN_PODS {
        let pod = Pod::start_sharing_processes(&node, cri::handler(workload)).await?;
        let setup = Setup::of_workload(workload).sharing_processes();
        let container = pod.run(&node, setup).await?;
        let init = container.pid().await?;
        let sidecar = Setup::native("exec sleep 1000").sharing_processes();
        let sidecar = pod.run(&node, sidecar).await?;
        let beside = sidecar.exec(["sleep", "1000"]).start()?;
        let beside_pid = beside.pid().await?;
        let exec = container.exec(["sleep", "1000"]).start()?;
        let pid = exec.pid().await?;
        process::kill(init, Signal::KILL)?;
        container.ended(&node).await?;
        node.with_log(process::ends(pid).await)?;
        assert_eq!(exec.ended(&node).await?.code, 137, "{workload:?}");
        ensure!(
            process::exists(beside_pid),
            "{workload:?}: the sidecar's exec ended too"
        );
        beside.signal("SIGKILL").await?;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn an_exec_runs_while_the_component_drains() -> Result<()> {
    let node = Node::shared().await?;
    let command = ["/app/spin.toml", "--drain-timeout", "20s"];
    let container = Container::of(images::PROBE)
        .command(command)
        .start(&node)
        .await?;
    let address = container.address();
    // A request that keeps the component from ending.
    let hanging = tokio::spawn(async move { get(address, "/hang").await.map(drop) });
    container.has_connection().await?;
    container.signal("SIGTERM").await?;
    container.logs("drain").await?;
    for _ in 0..3 {
        let execed = container.exec(["echo", "still here"]).run(&node).await?;
        assert_eq!(execed.text(), "still here\n");
    }
    let exec = container.exec(["sleep", "1000"]).start()?;
    exec.pid().await?;
    ensure!(!container.has_exited(), "the drain was cut short");
    container.signal("SIGKILL").await?;
    assert_eq!(exec.ended(&node).await?.code, 137);
    hanging.abort();
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_shim_that_is_killed_takes_its_execs_with_it() -> Result<()> {
    let node = Node::shared().await?;
    for workload in Workload::ALL {
        let container = workload.start(&node).await?;
        let init = container.pid().await?;
        let exec = container.exec(["sleep", "1000"]).start()?;
        let pid = exec.pid().await?;
        process::kill(parent(init)?, Signal::KILL)?;
        for (what, pid) in [("the container", init), ("the exec", pid)] {
            let ended = node.with_log(process::ends(pid).await);
            ended.with_context(|| format!("{workload:?}: {what}"))?;
        }
        container.exited(&node).await?;
        container.remove().await?;
    }
    Ok(())
}

/// The shim's helpers are its children, and not processes of the container.
#[tokio::test]
#[ignore = "needs root"]
async fn a_helper_that_is_killed_fails_its_exec_and_no_other() -> Result<()> {
    let node = Node::alone().await?;
    let container = Container::of(images::COMMANDS).start(&node).await?;
    let init = container.pid().await?;
    let shim = parent(init)?;
    let kept = container.exec(["sleep", "1000"]).start()?;
    let kept_pid = kept.pid().await?;
    let before = Leftovers::now()?;
    let helpers = || -> Result<Vec<i32>> {
        let all = process::all()?;
        let children = all
            .into_iter()
            .filter(|one| parent(one.pid).is_ok_and(|parent| parent == shim));
        Ok(children
            .map(|one| one.pid)
            .filter(|pid| ![init, kept_pid].contains(pid))
            .collect())
    };
    let mut failed = 0;
    for _ in 0..20 {
        let exec = container.exec(["true"]);
        let running = exec.clone().start()?;
        let found = wait::until("the exec has a helper or has ended", DEADLINE, async || {
            let helpers = helpers()?;
            let ended = running.has_ended();
            Ok((ended || !helpers.is_empty()).then_some(helpers))
        })
        .await?;
        for helper in found {
            // It may have ended meanwhile.
            let _ = process::kill(helper, Signal::KILL);
        }
        // It ends in any case.
        let execed = running.ended(&node).await?;
        failed += u32::from(execed.code != 0);
        ensure!(process::exists(kept_pid) && !container.has_exited());
    }
    ensure!(failed > 0, "no helper was killed in time");
    assert_eq!(container.exec(["true"]).run(&node).await?.code, 0);
    // `ctr` leaves the pipes of execs that failed.
    let pipes = "/run/containerd/fifo";
    before.nothing_added_outside(&node, &[pipes]).await?;
    assert_eq!(kept.killed(&node).await?.code, 137);
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn an_exec_outlives_a_containerd_that_crashes() -> Result<()> {
    let mut node = Node::alone().await?;
    let mut all = Vec::new();
    for workload in IN_PODS {
        let (pod, container) = Pod::of(workload, &node).await?;
        let exec = container.exec(["sleep", "1000"]).start()?;
        let pid = exec.pid().await?;
        all.push((workload, pod, container, exec, pid));
    }
    node.kill9()?;
    node.start_again().await?;
    for (workload, _pod, container, exec, pid) in &all {
        ensure!(
            process::exists(*pid),
            "{workload:?}: it ended with containerd"
        );
        let listed = exec.listed().await?;
        assert_eq!(listed, Some(*pid), "{workload:?}: it is no longer listed");
        let again = container.exec(["echo", "again"]).run(&node).await?;
        assert_eq!(again.text(), "again\n", "{workload:?}");
        exec.signal("SIGKILL").await?;
        let ended = node.with_log(process::ends(*pid).await);
        ended.with_context(|| format!("{workload:?}"))?;
        let running = container.is_running().await;
        running.with_context(|| format!("{workload:?}"))?;
    }
    Ok(())
}

/// The caller gives up before the exec has started.
#[tokio::test]
#[ignore = "needs root"]
async fn an_exec_that_is_deleted_while_it_starts_leaves_no_process() -> Result<()> {
    let node = Node::alone().await?;
    for workload in Workload::ALL {
        let container = workload.start(&node).await?;
        container.exec(["true"]).run(&node).await?;
        let before = Leftovers::now()?;
        let shim = Shim::of(container.id()).await?;
        for round in 0..20 {
            let id = format!("hasty{round}");
            node.with_log(succeeded(shim.exec(&id, &["sleep", "1000"]).await))?;
            let (started, deleted) = futures::join!(shim.start(&id), async {
                // Later in each round, by turns of the scheduler instead of the clock.
                for _ in 0..round * 20 {
                    tokio::task::yield_now().await;
                }
                let _ = shim.kill(&id, KILL).await;
                shim.delete(&id).await
            });
            if started.is_ok() && deleted.is_err() {
                let _ = shim.kill(&id, KILL).await;
                let _ = shim.wait(&id).await;
                let _ = shim.delete(&id).await;
            }
        }
        let waited = before.nothing_added(&node).await;
        waited.with_context(|| format!("{workload:?}"))?;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn ctr_can_kill_an_exec_that_hangs() -> Result<()> {
    let node = Node::shared().await?;
    let container = Container::of(images::COMMANDS).start(&node).await?;
    let hanging: [&[&str]; 3] = [
        &["command", "loop"],
        &["sleep", "1000"],
        &["busybox", "sleep", "1000"],
    ];
    for words in hanging {
        let exec = container.exec(words.iter().copied()).start()?;
        exec.pid().await?;
        assert_eq!(exec.killed(&node).await?.code, 137, "{words:?}");
    }
    Ok(())
}
