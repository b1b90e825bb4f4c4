//! Native containers in pods, such as init containers and sidecars, compared with runc.

use crate::cri::{HANDLER, Pod, RUNC, Setup};
use crate::images::USER;
use crate::node::{Node, PLANTED};
use crate::volumes::volume;
use anyhow::{Result, ensure};
use visits_tests::load;

/// Prints the environment and uses two of its variables.
const SCRIPT: &str = "env; echo \"greeting: $GREETING, $WHO\"; exit 7";

#[tokio::test]
#[ignore = "needs root"]
async fn under_runc_a_container_has_the_pods_environment_which_proves_the_harness() -> Result<()> {
    has_the_pods_environment(RUNC).await
}

/// Checks that a program sees the pod's processes. Under the shim a component runs beside it and shares a volume with it.
async fn share_processes(handler: &str) -> Result<()> {
    let node = Node::shared().await?;
    let pod = Pod::start_sharing_processes(&node, handler).await?;
    let volume = volume()?;
    if handler == HANDLER {
        let visits = Setup::visits(volume.path()).sharing_processes();
        pod.serve(&node, visits).await?;
        assert_eq!(load::visits(pod.address(), 1, 1).await?, [1]);
    }
    let script = "cat /proc/1/cmdline; echo; ls /volume";
    let other = Setup::native(script)
        .volume(volume.path(), "/volume")
        .sharing_processes();
    let other = pod.run(&node, other).await?;
    assert_eq!(
        other.ended(&node).await?["exitCode"],
        0,
        "{:?}",
        other.log()
    );
    ensure!(
        other.log().concat().contains("trap"),
        "the pause process is not visible: {:?}",
        other.log()
    );
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn under_runc_a_pods_containers_can_share_processes_which_proves_the_harness() -> Result<()> {
    share_processes(RUNC).await
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_pods_containers_can_share_processes() -> Result<()> {
    share_processes(HANDLER).await
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_native_container_has_the_pods_environment_and_nothing_of_the_nodes() -> Result<()> {
    has_the_pods_environment(HANDLER).await
}

async fn has_the_pods_environment(handler: &str) -> Result<()> {
    let node = Node::shared().await?;
    let pod = Pod::start(&node, handler).await?;
    let setup = Setup::native(SCRIPT)
        .env("GREETING", "good morning")
        .env("WHO", "world");
    let container = pod.run(&node, setup).await?;
    let status = container.ended(&node).await?;
    let log = container.log();
    assert_eq!(status["exitCode"], 7, "{log:?}");
    ensure!(
        log.contains(&"stdout F greeting: good morning, world".to_owned()),
        "{log:?}"
    );
    let mut names: Vec<&str> = log
        .iter()
        .filter_map(|line| line.strip_prefix("stdout F ")?.split_once('='))
        .map(|(name, _)| name)
        .collect();
    names.sort_unstable();
    // The runtime sets HOME; the shell sets PWD and SHLVL.
    let expected = [
        "GREETING", "HOME", "HOSTNAME", "PATH", "PWD", "SHLVL", "WHO",
    ];
    assert_eq!(names, expected, "{log:?}");
    ensure!(log.contains(&"stdout F PATH=/tools".to_owned()), "{log:?}");
    ensure!(!log.concat().contains(PLANTED.1), "{log:?}");
    pod.stop().await
}

#[tokio::test]
#[ignore = "needs root"]
async fn an_init_container_prepares_the_volume_of_a_component() -> Result<()> {
    let node = Node::shared().await?;
    let pod = Pod::start(&node, HANDLER).await?;
    let volume = tempfile::tempdir()?;
    let script = format!("chown {USER}:{USER} /volume");
    let init = Setup::native(&script).volume(volume.path(), "/volume");
    let init = pod.run(&node, init).await?;
    assert_eq!(init.ended(&node).await?["exitCode"], 0, "{:?}", init.log());
    let visits = pod.serve(&node, Setup::visits(volume.path())).await?;
    assert_eq!(load::visits(pod.address(), 1, 2).await?, [1, 2]);
    visits.stop(30).await?;
    assert_eq!(visits.ended(&node).await?["exitCode"], 0);
    assert_eq!(load::visits_bin(volume.path())?, 2);
    pod.stop().await
}
