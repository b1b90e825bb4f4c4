//! The node's own programs end and start again, one by one and all at once.

use crate::cluster::Cluster;
use crate::counter::{Counter, REPLICAS};
use crate::kubectl::{self, POD};
use crate::load::Load;
use crate::manifests::Manifests;
use crate::namespace::{Namespace, items};
use crate::pods::Pod;
use crate::visitors;
use anyhow::{Result, ensure};
use std::time::Duration;
use visits_tests::wait;

/// A program of the node starts again while people visit: their pods never notice, and it finds its pods again.
async fn visitors_do_not_notice_the_restart_of(program: &str) -> Result<()> {
    let cluster = Cluster::alone().await?;
    Namespace::with(&cluster, async |namespace| {
        let counter = Counter::start(namespace, &Manifests::only_people_count()).await?;
        let before = counter.pods().await?;
        let counts = counter.counts().await?;
        let load = Load::start(counter.address().await?);
        load.goes_on(100).await?;
        cluster.restart(program).await?;
        load.goes_on(100).await?;
        // It is at work again once it has replaced a pod.
        namespace.wait(POD, ["delete", "pod", "visits-3"]).await?;
        Pod::ready(namespace, "visits-3").await?;
        load.goes_on(100).await?;
        let report = load.end().await?;
        for (before, after) in before.iter().zip(counter.pods().await?).take(REPLICAS - 1) {
            ensure!(
                before.uid() == after.uid(),
                "{} is another pod",
                after.name()
            );
            ensure!(after.is_ready(), "{} is not ready", after.name());
            ensure!(after.restarts() == 0, "{} restarts", after.restarts());
        }
        report.no_visit_failed()?;
        report
            .served
            .were_counted(counts, counter.counts().await?)?;
        no_pod_is_left_over(&cluster).await
    })
    .await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn kubelet_restarts_and_no_visitor_notices() -> Result<()> {
    visitors_do_not_notice_the_restart_of("kubelet").await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn containerd_restarts_and_no_visitor_notices() -> Result<()> {
    visitors_do_not_notice_the_restart_of("containerd").await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn what_kubelet_sets_for_the_whole_kernel_is_not_set_on_the_machine() -> Result<()> {
    let cluster = Cluster::shared().await?;
    for name in [
        "kernel/panic",
        "kernel/panic_on_oops",
        "vm/overcommit_memory",
    ] {
        let over = cluster
            .shell(&format!("stat -fc %T /proc/sys/{name}"))
            .await?;
        ensure!(over.trim() == "tmpfs", "{name} is the machine's: {over}");
    }
    // kubelet has set what it wants all the same.
    let panic = cluster.shell("cat /proc/sys/kernel/panic_on_oops").await?;
    ensure!(panic.trim() == "1", "kernel/panic_on_oops is {panic}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_node_that_is_cut_off_its_power_under_load_loses_no_visit_and_no_pod() -> Result<()> {
    let cluster = Cluster::alone().await?;
    Namespace::with(&cluster, async |namespace| {
        let counter = Counter::start(namespace, &Manifests::only_people_count()).await?;
        let address = counter.address().await?;
        visitors::visits_to_all(address).await?;
        let before = counter.counts().await?;
        let load = Load::start(address);
        load.goes_on(200).await?;
        cluster.stop().await?;
        let report = load.end().await?;
        ensure!(!report.failures.is_empty(), "the node was not stopped");
        cluster.start().await?;
        // The API still says what was true before. The first thing to come true only now is a pod's new container.
        for number in 0..REPLICAS {
            let name = format!("visits-{number}");
            let restarted = |pod: &Pod| pod.restarts() == 1 && pod.is_ready();
            Pod::once(namespace, &name, "it runs again", restarted).await?;
        }
        let after = counter.counts().await?;
        report.served.were_not_lost(before, after, report.sent)?;
        let served = visitors::visits_to_all(counter.address().await?).await?;
        served.were_counted(after, counter.counts().await?)?;
        // What was there before can also go.
        namespace.wait(POD, ["delete", "pod", "visits-3"]).await?;
        Pod::ready(namespace, "visits-3").await?;
        no_pod_is_left_over(&cluster).await
    })
    .await
}

/// Checks that no pod waits for its end, and that the node runs a shim for each pod and none for any other.
async fn no_pod_is_left_over(cluster: &Cluster) -> Result<()> {
    let what = "as many shims as pods, and no pod that waits for its end";
    wait::until_every(Duration::from_secs(1), what, POD, async || {
        let pods = kubectl::json(["get", "pods", "--all-namespaces"]).await?;
        let ending = items(&pods).any(|pod| !pod["metadata"]["deletionTimestamp"].is_null());
        let running = items(&pods)
            .filter(|pod| pod["status"]["phase"] == "Running")
            .count();
        let shims = cluster
            .shell("cat /proc/[0-9]*/comm 2>/dev/null | grep -c '^containerd-shim' || true")
            .await?;
        Ok((!ending && shims.trim() == running.to_string()).then_some(()))
    })
    .await
}
