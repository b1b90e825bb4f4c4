//! A component listens on every address family of its pod, without an option.

use crate::cri::{HANDLER, Pod, Setup};
use crate::images;
use crate::node::Node;
use anyhow::{Context, Result, ensure};
use visits_tests::{DEADLINE, get, wait};

#[tokio::test]
#[ignore = "needs root"]
async fn a_pod_with_both_families_answers_on_each_address() -> Result<()> {
    let node = Node::shared().await?;
    let pod = Pod::start(&node, HANDLER).await?;
    let other = pod.other_address().context("the pod has one address")?;
    ensure!(
        pod.address().is_ipv4() != other.is_ipv4(),
        "{} and {other} are of the same family",
        pod.address()
    );
    let setup = Setup::of(images::HELLO).command(["/app/spin.toml", "--access-log"]);
    let container = pod.serve(&node, setup).await?;
    for address in [pod.address(), other] {
        ensure!(get(address, "/").await?.status == 200, "{address}");
    }
    // A dual-stack socket reports an IPv4 client by an IPv6 address. The log must show the client's own.
    for peer in ["peer=10.89.0.1:", "peer=[fd00:10:89::1]:"] {
        wait::until(&format!("{peer} in the log"), DEADLINE, async || {
            let mut log = container.log().into_iter();
            Ok(log.find(|line| line.contains(peer)))
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_pod_with_ipv6_disabled_answers_by_ipv4() -> Result<()> {
    let node = Node::shared().await?;
    let sysctls = [("net.ipv6.conf.all.disable_ipv6", "1")];
    let pod = Pod::start_with_sysctls(&node, HANDLER, &sysctls).await?;
    pod.serve(&node, Setup::of(images::HELLO)).await?;
    ensure!(get(pod.address(), "/").await?.status == 200);
    let other = pod.other_address().context("the pod has one address")?;
    ensure!(get(other, "/").await.is_err(), "{other} answers");
    Ok(())
}
