//! What becomes of execs when something else ends: the first process, the shim, its helper, containerd.

use crate::container::{Container, ExecBuilder, Kind, pid_of};
use crate::cri::{HANDLER, Pod, Setup};
use crate::events::Events;
use crate::images;
use crate::leftovers::Leftovers;
use crate::node::Node;
use crate::process::{self, parent};
use anyhow::{Result, ensure};
use std::collections::BTreeSet;
use visits_tests::{DEADLINE, Signal, get, wait};

async fn gone(node: &Node, what: &str, pid: i32) -> Result<()> {
    let waited = wait::until(what, DEADLINE, async || {
        Ok((!process::exists(pid)).then_some(()))
    });
    waited
        .await
        .map_err(|error| node.failed(&format!("{error:#}")))
}

#[tokio::test]
#[ignore = "needs root"]
async fn the_events_of_an_exec_come_in_containerds_order() -> Result<()> {
    let node = Node::shared().await?;
    for kind in Kind::ALL {
        let container = kind.start(&node).await?;
        let events = Events::of(container.id()).await?;
        let short = container.exec(["true"]);
        let id = short.id().to_owned();
        short.run(&node).await?;
        let expected = ["exec-added", "exec-started", "exit"].map(|topic| format!("{topic} {id}"));
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        events
            .are(&expected)
            .await
            .map_err(|error| error.context(format!("{kind:?}")))?;
        // One that cannot start is added, and nothing more.
        let none = container.exec(["/no/such/program"]);
        let none_id = none.id().to_owned();
        none.refused(&node).await?;
        let mut all = expected.clone();
        let added = format!("exec-added {none_id}");
        all.push(&added);
        // An exit of the next one shows that none is still to come of that.
        let next = container.exec(["true"]);
        let next_id = next.id().to_owned();
        next.run(&node).await?;
        let last = ["exec-added", "exec-started", "exit"].map(|topic| format!("{topic} {next_id}"));
        all.extend(last.iter().map(String::as_str));
        events
            .are(&all)
            .await
            .map_err(|error| error.context(format!("{kind:?}")))?;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn the_first_process_takes_its_execs_with_it_and_their_exits_come_before_its_own()
-> Result<()> {
    let node = Node::shared().await?;
    for signal in ["SIGKILL", "SIGTERM"] {
        for kind in Kind::ALL {
            let container = kind.start(&node).await?;
            // What sleeps as process 1 takes no signal that it has no handler for.
            if signal == "SIGTERM" && kind != Kind::Wasm {
                continue;
            }
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
            assert_eq!(code, if signal == "SIGTERM" { 0 } else { 137 }, "{kind:?}");
            for exec in execs {
                assert_eq!(exec.ended(&node).await?.code, 137, "{kind:?}");
            }
            let exits = wait::until("four exits", DEADLINE, async || {
                let mut seen = events.seen();
                seen.retain(|event| event.starts_with("exit"));
                Ok((seen.len() >= 4).then_some(seen))
            })
            .await?;
            assert_eq!(exits[3], "exit", "{kind:?}: {exits:?}");
            assert_eq!(
                BTreeSet::from_iter(exits[..3].iter().cloned()),
                ids,
                "{kind:?}"
            );
            container.remove().await?;
        }
    }
    Ok(())
}

/// The kernel ends a process namespace with its first process; in a shared one the shim has to.
#[tokio::test]
#[ignore = "needs root"]
async fn in_a_shared_process_namespace_a_container_takes_its_execs_with_it() -> Result<()> {
    let node = Node::shared().await?;
    for handler in ["runc", HANDLER] {
        let pod = Pod::start_sharing_processes(&node, handler).await?;
        let setup = match handler {
            HANDLER => Setup::of(images::COMMANDS),
            _ => Setup::native("exec sleep 1000"),
        };
        let container = pod.run(&node, setup.sharing_processes()).await?;
        let init = container.pid().await?;
        let sidecar = Setup::native("exec sleep 1000").sharing_processes();
        let sidecar = pod.run(&node, sidecar).await?;
        let beside = sidecar.exec(["sleep", "1000"]).start()?;
        let beside_pid = beside.pid().await?;
        let exec = container.exec(["sleep", "1000"]).start()?;
        let pid = exec.pid().await?;
        process::kill(init, Signal::KILL)?;
        container.ended(&node).await?;
        gone(&node, "its exec ends", pid).await?;
        assert_eq!(exec.ended(&node).await?.code, 137, "{handler}");
        ensure!(
            process::exists(beside_pid),
            "{handler}: the sidecar's ended, too"
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
    let (address, pid) = (container.address(), container.pid().await?);
    // A request that keeps the component from its end.
    let hanging = tokio::spawn(async move { get(address, "/hang").await.map(drop) });
    wait::until("the request is being served", DEADLINE, async || {
        let mut sockets = std::fs::read_to_string(format!("/proc/{pid}/net/tcp"))?;
        sockets += &std::fs::read_to_string(format!("/proc/{pid}/net/tcp6"))?;
        // ESTABLISHED, on port 5000.
        Ok(sockets
            .lines()
            .any(|line| line.contains(":1388 ") && line.contains(" 01 "))
            .then_some(()))
    })
    .await?;
    container.signal("SIGTERM").await?;
    container.logs("drain").await?;
    for _ in 0..3 {
        let execed = container.exec(["echo", "still here"]).run(&node).await?;
        assert_eq!(execed.text(), "still here\n");
    }
    let exec = container.exec(["sleep", "1000"]).start()?;
    exec.pid().await?;
    ensure!(!container.has_exited(), "it did not wait");
    container.signal("SIGKILL").await?;
    assert_eq!(exec.ended(&node).await?.code, 137);
    hanging.abort();
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_shim_that_is_killed_takes_its_execs_with_it() -> Result<()> {
    let node = Node::shared().await?;
    for kind in Kind::ALL {
        let container = kind.start(&node).await?;
        let init = container.pid().await?;
        let exec = container.exec(["sleep", "1000"]).start()?;
        let pid = exec.pid().await?;
        process::kill(parent(init)?, Signal::KILL)?;
        gone(&node, "the container's process ends", init).await?;
        gone(&node, "the exec's process ends", pid)
            .await
            .map_err(|error| error.context(format!("{kind:?}")))?;
        container.exited(&node).await?;
        container.remove().await?;
    }
    Ok(())
}

/// Those that the shim starts to do its work in are its children, and none of the container's.
#[tokio::test]
#[ignore = "needs root"]
async fn a_helper_that_is_killed_fails_its_exec_and_no_other() -> Result<()> {
    let node = Node::alone().await?;
    let container = Container::of(images::COMMANDS).start(&node).await?;
    let init = container.pid().await?;
    let server = parent(init)?;
    let kept = container.exec(["sleep", "1000"]).start()?;
    let kept_pid = kept.pid().await?;
    let before = Leftovers::now()?;
    let helpers = || -> Result<Vec<i32>> {
        let all = process::all()?;
        let children = all
            .into_iter()
            .filter(|one| parent(one.pid).is_ok_and(|parent| parent == server));
        Ok(children
            .map(|one| one.pid)
            .filter(|pid| ![init, kept_pid].contains(pid))
            .collect())
    };
    let mut failed = 0;
    for _ in 0..20 {
        let exec = container.exec(["true"]);
        let running = exec.clone().start()?;
        let found = wait::until("it has a helper or has ended", DEADLINE, async || {
            let helpers = helpers()?;
            let ended = running.has_ended();
            Ok((ended || !helpers.is_empty()).then_some(helpers))
        })
        .await?;
        for helper in found {
            // One that has ended meanwhile is as good.
            let _ = process::kill(helper, Signal::KILL);
        }
        // Whatever it was that died, there is an end.
        let execed = running.ended(&node).await?;
        failed += u32::from(execed.code != 0);
        ensure!(process::exists(kept_pid) && !container.has_exited());
    }
    ensure!(failed > 0, "no exec was hit");
    assert_eq!(container.exec(["true"]).run(&node).await?.code, 0);
    // Of those that failed, `ctr` removes each.
    before.are_all_but(&node, &["/run/containerd/fifo"]).await?;
    kept.signal("SIGKILL").await?;
    assert_eq!(kept.ended(&node).await?.code, 137);
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn an_exec_outlives_a_containerd_that_crashes() -> Result<()> {
    let mut node = Node::alone().await?;
    let mut all = Vec::new();
    for handler in ["runc", HANDLER] {
        let pod = Pod::start(&node, handler).await?;
        let setup = match handler {
            HANDLER => Setup::of(images::COMMANDS),
            _ => Setup::native("exec sleep 1000"),
        };
        let container = pod.run(&node, setup).await?;
        container.pid().await?;
        let exec = container.exec(["sleep", "1000"]);
        let running = exec.start()?;
        let pid = running.pid().await?;
        all.push((handler, pod, container, running, pid));
    }
    node.kill9()?;
    node.start_again().await?;
    for (handler, _pod, container, running, pid) in &all {
        ensure!(process::exists(*pid), "{handler}: it ended with containerd");
        let found = pid_of(images::KUBERNETES, container.containerd_id(), running.id()).await?;
        assert_eq!(found, Some(*pid), "{handler}: it is not listed any more");
        let again = container.exec(["echo", "again"]).run(&node).await?;
        assert_eq!(again.text(), "again\n", "{handler}");
        running.signal("SIGKILL").await?;
        gone(&node, "the exec ends", *pid)
            .await
            .map_err(|error| error.context(*handler))?;
        assert_eq!(
            container.status().await?["state"],
            "CONTAINER_RUNNING",
            "{handler}"
        );
    }
    Ok(())
}

/// What a caller gives up before it has started must not stay.
#[tokio::test]
#[ignore = "needs root"]
async fn an_exec_that_is_deleted_while_it_starts_leaves_no_process() -> Result<()> {
    let node = Node::alone().await?;
    for kind in Kind::ALL {
        let container = kind.start(&node).await?;
        container.exec(["true"]).run(&node).await?;
        let before = Leftovers::now()?;
        let shim = crate::task_api::Shim::of(container.id()).await?;
        for round in 0..20 {
            let id = format!("hasty{round}");
            shim.exec(&id, &["sleep", "1000"])
                .await
                .map_err(|error| node.failed(&format!("{error:?}")))?;
            let (started, killed) = futures::join!(shim.start(&id), async {
                // A little later each time, by turns of the scheduler and not by the clock.
                for _ in 0..round * 20 {
                    tokio::task::yield_now().await;
                }
                let killed = shim.kill(&id, 9, false).await;
                (killed, shim.delete(&id).await)
            });
            if started.is_ok() && killed.1.is_err() {
                let _ = shim.kill(&id, 9, false).await;
                let _ = shim.wait(&id).await;
                let _ = shim.delete(&id).await;
            }
        }
        let waited = before.are_all_there_is(&node).await;
        waited.map_err(|error| error.context(format!("{kind:?}")))?;
    }
    Ok(())
}

/// An exec that hangs is ended by the deadline of its caller.
#[tokio::test]
#[ignore = "needs root"]
async fn an_exec_that_hangs_can_be_killed_by_ctr() -> Result<()> {
    let node = Node::shared().await?;
    let container = Container::of(images::COMMANDS).start(&node).await?;
    let hanging: [ExecBuilder; 3] = [
        container.exec(["command", "loop"]),
        container.exec(["sleep", "1000"]),
        container.exec(["busybox", "sleep", "1000"]),
    ];
    for exec in hanging {
        let exec = exec.start()?;
        exec.pid().await?;
        exec.signal("SIGKILL").await?;
        assert_eq!(exec.ended(&node).await?.code, 137);
    }
    Ok(())
}
