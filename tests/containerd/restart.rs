//! A containerd that crashes and starts again under running pods.

use crate::cri::{HANDLER, Pod, Setup};
use crate::node::Node;
use crate::volumes::volume;
use crate::{images, process};
use anyhow::{Result, ensure};
use visits_tests::load::{self, visits_bin};
use visits_tests::{DEADLINE, Signal, wait};

#[tokio::test]
#[ignore = "needs root"]
async fn pods_serve_on_while_containerd_is_away_and_stop_when_it_is_back() -> Result<()> {
    let mut node = Node::alone().await?;
    let volume = volume()?;
    let pod = Pod::start(&node, HANDLER).await?;
    let setup = Setup::of(images::VISITS).volume(volume.path(), "/app/persistent");
    let container = pod.run(&node, setup).await?;
    container.listens(&pod, &node).await?;
    let mut numbers = load::visits(pod.address(), 1, 10).await?;
    node.kill9()?;
    numbers.extend(load::visits(pod.address(), 4, 10).await?);
    node.start_again().await?;
    numbers.extend(load::visits(pod.address(), 1, 10).await?);
    load::assert_exactly(numbers, 1, 60);
    let status = container.status().await?;
    assert_eq!(status["state"], "CONTAINER_RUNNING", "{status}");
    container.stop(30).await?;
    assert_eq!(container.ended(&node).await?["exitCode"], 0);
    assert_eq!(visits_bin(volume.path())?, 60);
    let again = Setup::of(images::VISITS).volume(volume.path(), "/app/persistent");
    let again = pod.run(&node, again).await?;
    again.listens(&pod, &node).await?;
    assert_eq!(load::visits(pod.address(), 1, 1).await?, [61]);
    Ok(())
}

async fn its_end_is_noticed(handler: &str, setup: Setup) -> Result<()> {
    let mut node = Node::alone().await?;
    let pod = Pod::start(&node, handler).await?;
    let container = pod.run(&node, setup).await?;
    container.listens(&pod, &node).await?;
    let pid = container.pid().await?;
    node.kill9()?;
    process::kill(pid, Signal::KILL)?;
    wait::until("the container's process is gone", DEADLINE, async || {
        Ok((!process::exists(pid)).then_some(()))
    })
    .await?;
    node.start_again().await?;
    let status = container.ended(&node).await?;
    // 255 is what containerd says when it has found the shim gone, too, which has nothing left to do.
    ensure!(
        [137, 255].contains(&status["exitCode"].as_i64().unwrap_or(0)),
        "{status}"
    );
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn under_runc_the_end_of_a_container_is_noticed_which_proves_the_harness() -> Result<()> {
    its_end_is_noticed("runc", Setup::native("exec httpd -f -p 5000 -h /tmp")).await
}

#[tokio::test]
#[ignore = "needs root"]
async fn the_end_of_a_container_is_noticed_though_containerd_was_away() -> Result<()> {
    its_end_is_noticed(HANDLER, Setup::of(images::HELLO)).await
}

#[tokio::test]
#[ignore = "needs root"]
async fn what_is_written_while_containerd_is_away_is_in_the_log() -> Result<()> {
    let mut node = Node::alone().await?;
    let pod = Pod::start(&node, HANDLER).await?;
    let container = pod.run(&node, Setup::of(images::PROBE)).await?;
    container.listens(&pod, &node).await?;
    node.kill9()?;
    visits_tests::get(pod.address(), "/print").await?;
    node.start_again().await?;
    container.stop(30).await?;
    let log = container.log();
    ensure!(
        log.iter()
            .any(|line| line.starts_with("stdout F the probe's stdout")),
        "{log:?}"
    );
    Ok(())
}
