//! A paused container does nothing and loses nothing, and continues after the resume.

use crate::container::{Container, Runtime, Workload};
use crate::ctr;
use crate::events::Events;
use crate::node::Node;
use crate::task_api::{CallResult, Shim};
use crate::volumes::volume;
use anyhow::{Result, ensure};
use containerd_shim_protos::api::Empty;
use containerd_shim_protos::ttrpc::Code;
use std::time::Duration;
use visits_tests::load::{self, visits_bin};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root"]
async fn a_paused_counter_loses_nothing_and_answers_after_it() -> Result<()> {
    // Alone: on a busy machine with two cores the visits may time out after the resume.
    let node = Node::alone().await?;
    let volume = volume()?;
    let container = Container::visits(volume.path()).start(&node).await?;
    let address = container.address();
    load::assert_exactly(load::visits(address, 4, 25).await?, 1, 100);
    for round in 0..3 {
        ctr::run(["tasks", "pause", container.id()]).await?;
        assert_eq!(container.state().await?, "PAUSED");
        let mut waiting = tokio::spawn(async move { load::visits(address, 4, 5).await });
        // Long enough for many responses from a running counter.
        let early = tokio::time::timeout(Duration::from_millis(300), &mut waiting).await;
        ensure!(early.is_err(), "a paused container answered");
        let count = visits_bin(volume.path())?;
        assert_eq!(count, 100 + 20 * round, "a paused container counted");
        ctr::run(["tasks", "resume", container.id()]).await?;
        assert_eq!(container.state().await?, "RUNNING");
        load::assert_exactly(waiting.await??, count + 1, count + 20);
    }
    assert_eq!(visits_bin(volume.path())?, 160);
    assert_eq!(container.stop(&node).await?.code, 0);
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn an_exec_is_refused_while_paused_and_runs_after_the_resume() -> Result<()> {
    let node = Node::shared().await?;
    for workload in Workload::ALL {
        let container = workload.start(&node).await?;
        let mut before = container.exec(["cat"]).start()?;
        before.echoes("before\n").await?;
        ctr::run(["tasks", "pause", container.id()]).await?;
        let refused = container.exec(["true"]).refused(&node).await?;
        ensure!(refused.contains("paused"), "{workload:?}: {refused}");
        if workload != Workload::Runc {
            let expected = format!(
                "the container {} is paused: resume it first",
                container.id()
            );
            ensure!(refused.contains(&expected), "{workload:?}: {refused}");
        }
        // The exec that already ran is frozen too.
        before.write(b"meanwhile\n").await?;
        ctr::run(["tasks", "resume", container.id()]).await?;
        before.prints("before\nmeanwhile\n").await?;
        before.close_stdin();
        assert_eq!(before.ended(&node).await?.code, 0, "{workload:?}");
        let after = container.exec(["true"]).run(&node).await?;
        assert_eq!(after.code, 0, "{workload:?}");
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_second_pause_and_a_second_resume_have_the_result_they_have_under_runc() -> Result<()> {
    let node = Node::shared().await?;
    let mut seen = Vec::new();
    for runtime in Runtime::BOTH {
        let container = Container::sleeping(runtime).spawn_running().await?;
        let events = Events::of(container.id()).await?;
        let shim = Shim::of(container.id()).await?;
        let mut codes: Vec<Code> = Vec::new();
        let mut note = |result: CallResult<Empty>| {
            codes.push(result.map_or_else(|(code, _)| code, |_| Code::OK))
        };
        note(shim.resume().await);
        note(shim.pause().await);
        note(shim.pause().await);
        note(shim.resume().await);
        note(shim.resume().await);
        events.are(&["paused", "resumed"]).await?;
        ensure!(shim.stats().await.is_ok());
        // runc's shim reports every error of runc as UNKNOWN.
        for code in codes.iter_mut().filter(|code| **code != Code::OK) {
            *code = Code::UNKNOWN;
        }
        seen.push(codes);
        assert_eq!(container.shell("exit 4").run(&node).await?.code, 4);
    }
    assert_eq!(seen[1], seen[0]);
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_paused_container_can_be_killed_and_removed() -> Result<()> {
    let node = Node::shared().await?;
    for workload in Workload::ALL {
        let container = workload.start(&node).await?;
        ctr::run(["tasks", "pause", container.id()]).await?;
        container.signal("SIGKILL").await?;
        // Under runc with cgroup version 1 the signal is delivered after the thaw.
        let _ = ctr::run(["tasks", "resume", container.id()]).await;
        assert_eq!(container.ended(&node).await?.code, 137, "{workload:?}");
        container.remove().await?;
    }
    Ok(())
}
