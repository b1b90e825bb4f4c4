//! A container that is paused does nothing, loses nothing and goes on.

use crate::container::{Container, Kind, Runtime};
use crate::events::Events;
use crate::node::Node;
use crate::task_api::{Called, Shim};
use crate::volumes::volume;
use crate::{ctr, images};
use anyhow::{Result, ensure};
use containerd_shim_protos::api::Empty;
use containerd_shim_protos::ttrpc::Code;
use std::time::Duration;
use visits_tests::load::{self, visits_bin};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root"]
async fn a_paused_counter_loses_nothing_and_answers_after_it() -> Result<()> {
    // Alone: while other tests load a machine of two cores, the visitors' time may run out after the resume.
    let node = Node::alone().await?;
    let volume = volume()?;
    let builder = Container::of(images::VISITS).volume(volume.path(), "/app/persistent");
    let container = builder.start(&node).await?;
    let address = container.address();
    load::assert_exactly(load::visits(address, 4, 25).await?, 1, 100);
    for round in 0..3 {
        ctr::run(["tasks", "pause", container.id()]).await?;
        assert_eq!(container.state().await?, "PAUSED");
        let mut waiting = tokio::spawn(async move { load::visits(address, 4, 5).await });
        // Long enough to be answered many times, if anything answered.
        let early = tokio::time::timeout(Duration::from_millis(300), &mut waiting).await;
        ensure!(early.is_err(), "it answered while it was paused");
        let count = visits_bin(volume.path())?;
        assert_eq!(count, 100 + 20 * round, "it counted while it was paused");
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
async fn an_exec_while_paused_is_refused_with_the_reason_and_runs_after_it() -> Result<()> {
    let node = Node::shared().await?;
    for kind in Kind::ALL {
        let container = kind.start(&node).await?;
        let mut before = container.exec(["cat"]).start()?;
        before.write(b"before\n").await?;
        before.says("before\n").await?;
        ctr::run(["tasks", "pause", container.id()]).await?;
        let refused = container.exec(["true"]).refused(&node).await?;
        ensure!(refused.contains("paused"), "{kind:?}: {refused}");
        if kind != Kind::Runc {
            let expected = format!(
                "the container {} is paused: resume it first",
                container.id()
            );
            ensure!(refused.contains(&expected), "{kind:?}: {refused}");
        }
        // The one that ran is as frozen as the first process.
        before.write(b"meanwhile\n").await?;
        ctr::run(["tasks", "resume", container.id()]).await?;
        before.says("before\nmeanwhile\n").await?;
        before.close_stdin();
        assert_eq!(before.ended(&node).await?.code, 0, "{kind:?}");
        assert_eq!(
            container.exec(["true"]).run(&node).await?.code,
            0,
            "{kind:?}"
        );
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn pausing_twice_and_resuming_what_runs_are_what_they_are_under_runc() -> Result<()> {
    let node = Node::shared().await?;
    let mut seen = Vec::new();
    for runtime in Runtime::BOTH {
        let container = Container::native("sleep 1000")
            .runtime(runtime)
            .spawn()
            .await?;
        container.runs().await?;
        let events = Events::of(container.id()).await?;
        let shim = Shim::of(container.id()).await?;
        let mut codes: Vec<Code> = Vec::new();
        let mut note =
            |called: Called<Empty>| codes.push(called.map_or_else(|(code, _)| code, |_| Code::OK));
        note(shim.resume().await);
        note(shim.pause().await);
        note(shim.pause().await);
        note(shim.resume().await);
        note(shim.resume().await);
        events.are(&["paused", "resumed"]).await?;
        ensure!(shim.stats().await.is_ok());
        // runc's shim has no other code for an error of runc.
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
    for kind in Kind::ALL {
        let container = kind.start(&node).await?;
        ctr::run(["tasks", "pause", container.id()]).await?;
        container.signal("SIGKILL").await?;
        // Under runc with cgroup version 1 the signal waits for the thaw.
        let _ = ctr::run(["tasks", "resume", container.id()]).await;
        assert_eq!(container.ended(&node).await?.code, 137, "{kind:?}");
        container.remove().await?;
    }
    Ok(())
}
