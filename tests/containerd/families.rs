//! A component in a pod is reached by every address family that the pod has, without an option.

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
        "{} and {other} are of one family",
        pod.address()
    );
    let setup = Setup::of(images::HELLO).command(["/app/spin.toml", "--access-log"]);
    let container = pod.run(&node, setup).await?;
    container.listens(&pod, &node).await?;
    for address in [pod.address(), other] {
        ensure!(get(address, "/").await?.status == 200, "{address}");
    }
    // A socket of both families gives an IPv4 client an IPv6 address: the log shows the client's own.
    for peer in ["peer=10.89.0.1:", "peer=[fd00:10:89::1]:"] {
        wait::until(&format!("the log names {peer}"), DEADLINE, async || {
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
    let container = pod.run(&node, Setup::of(images::HELLO)).await?;
    container.listens(&pod, &node).await?;
    ensure!(get(pod.address(), "/").await?.status == 200);
    let other = pod.other_address().context("the pod had one address")?;
    ensure!(get(other, "/").await.is_err(), "{other} answers");
    Ok(())
}
