//! A containerd that crashes and restarts under running pods.

use crate::cri::{HANDLER, Pod, RUNC, Setup};
use crate::node::Node;
use crate::volumes::volume;
use crate::{images, process};
use anyhow::{Result, bail, ensure};
use std::pin::pin;
use visits_tests::Signal;
use visits_tests::load::{self, visits_bin};

#[tokio::test]
#[ignore = "needs root"]
async fn pods_keep_serving_while_containerd_is_down_and_stop_after_its_restart() -> Result<()> {
    let mut node = Node::alone().await?;
    let volume = volume()?;
    let (pod, container) = Pod::serving(&node, Setup::visits(volume.path())).await?;
    let mut numbers = load::visits(pod.address(), 1, 10).await?;
    node.kill9()?;
    numbers.extend(load::visits(pod.address(), 4, 10).await?);
    node.start_again().await?;
    numbers.extend(load::visits(pod.address(), 1, 10).await?);
    load::assert_exactly(numbers, 1, 60);
    container.is_running().await?;
    container.stop(30).await?;
    assert_eq!(container.ended(&node).await?["exitCode"], 0);
    assert_eq!(visits_bin(volume.path())?, 60);
    pod.serve(&node, Setup::visits(volume.path())).await?;
    assert_eq!(load::visits(pod.address(), 1, 1).await?, [61]);
    Ok(())
}

/// Kills a container while containerd is down and checks that its end is reported after the restart.
async fn its_end_is_noticed(handler: &str, setup: Setup) -> Result<()> {
    let mut node = Node::alone().await?;
    let pod = Pod::start(&node, handler).await?;
    let container = pod.serve(&node, setup).await?;
    let pid = container.pid().await?;
    node.kill9()?;
    process::kill(pid, Signal::KILL)?;
    process::ends(pid).await?;
    node.start_again().await?;
    let status = container.ended(&node).await?;
    // 255 is containerd's code if the shim has ended too, as it may: its container is gone.
    ensure!(
        [137, 255].contains(&status["exitCode"].as_i64().unwrap_or(0)),
        "{status}"
    );
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn under_runc_the_end_of_a_container_is_noticed_which_proves_the_harness() -> Result<()> {
    its_end_is_noticed(RUNC, Setup::native("exec httpd -f -p 5000 -h /tmp")).await
}

#[tokio::test]
#[ignore = "needs root"]
async fn the_end_of_a_container_is_noticed_after_containerd_was_down() -> Result<()> {
    its_end_is_noticed(HANDLER, Setup::of(images::HELLO)).await
}

#[tokio::test]
#[ignore = "needs root"]
async fn output_written_while_containerd_is_down_is_in_the_log() -> Result<()> {
    let mut node = Node::alone().await?;
    let (pod, container) = Pod::serving(&node, Setup::of(images::PROBE)).await?;
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

/// A pipe holds 64 KiB, and the component prints 1000 lines of 1 KiB.
#[tokio::test]
#[ignore = "needs root"]
async fn a_full_pipe_stops_neither_the_component_nor_its_output_while_containerd_is_down()
-> Result<()> {
    let mut node = Node::alone().await?;
    let (pod, container) = Pod::serving(&node, Setup::of(images::PROBE)).await?;
    node.kill9()?;
    let mut printed = pin!(visits_tests::get(pod.address(), "/stream-lines?n=1000"));
    let others = async {
        for _ in 0..100 {
            let hello = visits_tests::get(pod.address(), "/hello").await?;
            ensure!(hello.status == 200, "{hello:?}");
        }
        Ok(())
    };
    tokio::select! {
        early = &mut printed => bail!("all is printed, and nobody reads: {early:?}"),
        answered = others => answered?,
    }
    node.start_again().await?;
    let printed = printed.await?;
    ensure!(printed.text() == "Ok(())\n", "{printed:?}");
    container.stop(30).await?;
    let log = container.log();
    let number = |line: &String| line.strip_prefix("stdout F ")?.trim().parse().ok();
    let numbers: Vec<u32> = log.iter().filter_map(number).collect();
    ensure!(numbers.iter().copied().eq(0..1000), "{numbers:?}");
    Ok(())
}
