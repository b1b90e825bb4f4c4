//! Nodes of kubeadm, kind and minikube, which use containerd's own configuration, of version 2 or 3.

use crate::layout::{Containerd, Layout, VERSION_2, VERSION_3};
use crate::node::Node;
use crate::pods::{self, Pod};
use crate::script::{SHIM, Script};
use anyhow::Result;
use std::net::SocketAddr;
use visits_tests::artifacts;

const DROP_IN: &str = "/etc/containerd/conf.d/90-preopen.toml";
const CONFIG: &str = "/etc/containerd/config.toml";

/// Installs the shim, runs a pod, uninstalls, and checks the node after each step.
async fn serves_and_goes(layout: Layout, port: u16) -> Result<()> {
    let node = Node::start(layout).await?;
    let script = Script::new()?;
    let before = node.files()?;
    script.run(&node, &["install"]).await?.ok()?;
    assert_eq!(node.restarts()?, 1);
    let installed = node.files()?;

    pods::import(&node).await?;
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let pod = Pod::start(&node, address).await?;
    assert_eq!(pod.visit(&node, address).await?, "1");
    let status = script.run(&node, &["status"]).await?.ok()?;
    assert!(status.contains("has the runtime preopen"), "{status}");

    // A second installation changes nothing, and the pod keeps running.
    script.run(&node, &["install"]).await?.ok()?;
    assert_eq!(node.restarts()?, 1, "containerd was restarted without need");
    node.is_as_in(&installed)?;

    let error = script.run(&node, &["uninstall"]).await?.error()?;
    assert!(error.contains("remove the pods"), "{error}");
    node.is_as_in(&installed)?;
    assert_eq!(pod.visit(&node, address).await?, "2");

    pod.remove(&node).await?;
    script.run(&node, &["uninstall"]).await?.ok()?;
    node.is_as_in(&before)?;
    assert_eq!(node.restarts()?, 2);
    let info = node.info().await?;
    assert!(!info.contains(SHIM), "{info}");
    assert!(info.contains("\"runc\""), "{info}");
    script.run(&node, &["status"]).await?.error()?;
    script.run(&node, &["uninstall"]).await?.ok()?;
    assert_eq!(node.restarts()?, 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root"]
async fn a_pod_counts_on_containerd_2_and_the_node_is_as_before_after_uninstall() -> Result<()> {
    serves_and_goes(Layout::vanilla(Containerd::Current, VERSION_3), 5301).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root"]
async fn a_pod_counts_on_debians_containerd_and_the_node_is_as_before_after_uninstall() -> Result<()>
{
    serves_and_goes(Layout::vanilla(Containerd::Debian, VERSION_2), 5302).await
}

#[tokio::test]
#[ignore = "needs root"]
async fn version_3_with_imports_gets_a_drop_in_and_keeps_its_own_file() -> Result<()> {
    let node = Node::start(Layout::vanilla(Containerd::Current, VERSION_3)).await?;
    let script = Script::new()?;
    script.run(&node, &["install"]).await?.ok()?;
    assert_eq!(node.read(CONFIG)?, VERSION_3);
    let drop_in = node.read(DROP_IN)?;
    assert!(drop_in.contains("\nversion = 3\n"), "{drop_in}");
    assert!(
        drop_in.contains(&format!("runtime_type = {SHIM:?}")),
        "{drop_in}"
    );
    assert!(node.info().await?.contains(SHIM));
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn version_2_on_debians_containerd_gets_a_block_and_keeps_runc() -> Result<()> {
    let node = Node::start(Layout::vanilla(Containerd::Debian, VERSION_2)).await?;
    Script::new()?.run(&node, &["install"]).await?.ok()?;
    let config = node.read(CONFIG)?;
    assert!(config.starts_with(VERSION_2), "{config}");
    assert!(config.contains("runtimes.preopen]"), "{config}");
    let info = node.info().await?;
    assert!(info.contains(SHIM), "{info}");
    assert!(info.contains("io.containerd.runc.v2"), "{info}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn version_2_on_containerd_2_gets_a_block_and_keeps_runc() -> Result<()> {
    let node = Node::start(Layout::vanilla(Containerd::Current, VERSION_2)).await?;
    let script = Script::new()?;
    let before = node.files()?;
    script.run(&node, &["install"]).await?.ok()?;
    let info = node.info().await?;
    assert!(info.contains(SHIM), "{info}");
    assert!(info.contains("io.containerd.runc.v2"), "{info}");
    script.run(&node, &["uninstall"]).await?.ok()?;
    node.is_as_in(&before)?;
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn the_cgroup_driver_is_that_of_runc_unless_an_option_sets_it() -> Result<()> {
    let config = VERSION_3.replace("SystemdCgroup = false", "SystemdCgroup = true");
    let node = Node::start(Layout::vanilla(Containerd::Current, &config)).await?;
    let script = Script::new()?;
    script.run(&node, &["install"]).await?.ok()?;
    let drop_in = node.read(DROP_IN)?;
    assert!(drop_in.contains("SystemdCgroup = true"), "{drop_in}");
    script
        .run(&node, &["install", "--systemd-cgroup", "false"])
        .await?
        .ok()?;
    let drop_in = node.read(DROP_IN)?;
    assert!(!drop_in.contains("SystemdCgroup"), "{drop_in}");
    assert_eq!(node.restarts()?, 2);
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn uninstall_keeps_what_an_administrator_has_added() -> Result<()> {
    let node = Node::start(Layout::vanilla(Containerd::Current, VERSION_2)).await?;
    let script = Script::new()?;
    script.run(&node, &["install"]).await?.ok()?;
    let more = "\n[debug]\n  level = \"warn\"\n";
    std::fs::write(node.path(CONFIG), node.read(CONFIG)? + more)?;
    script.run(&node, &["uninstall"]).await?.ok()?;
    let left = node.read(CONFIG)?;
    assert!(left.starts_with(VERSION_2), "{left}");
    assert!(left.contains("level = \"warn\""), "{left}");
    assert!(!left.contains("preopen"), "{left}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_shim_of_another_version_is_replaced_without_a_restart() -> Result<()> {
    let node = Node::start(Layout::vanilla(Containerd::Current, VERSION_3)).await?;
    let old = Script::carrying(b"#!/bin/sh\n# an older shim\n")?;
    old.run(&node, &["install"]).await?.ok()?;
    let new = Script::new()?;
    new.run(&node, &["install"]).await?.ok()?;
    assert_eq!(node.restarts()?, 1);
    let shim = std::fs::read(node.path(SHIM))?;
    assert_eq!(shim, std::fs::read(artifacts::shim()?)?);
    Ok(())
}
