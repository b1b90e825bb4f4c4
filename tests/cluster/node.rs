//! Restarts of the node's programs, one by one and all at once.

use crate::cluster::Cluster;
use crate::disk::Disk;
use crate::kubectl::{self, POD};
use crate::load::{self, Load};
use crate::manifests::Manifests;
use crate::namespace::{Namespace, items};
use crate::pods::Pod;
use crate::stateful_set::{REPLICAS, StatefulSet};
use crate::visitors;
use anyhow::{Result, ensure};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use visits_tests::history::History;
use visits_tests::kills::Kills;
use visits_tests::wait;

/// Restarts a program of the node under load. Fails if a visit fails, or unless the program then finds its pods again.
async fn no_visitor_notices_a_restart_of(program: &str) -> Result<()> {
    let cluster = Cluster::alone().await?;
    Namespace::with(&cluster, async |namespace| {
        let counters = StatefulSet::start(namespace, &Manifests::only_people_count()).await?;
        let before = counters.pods().await?;
        load::during(&counters, async |load| {
            cluster.restart(program).await?;
            load.goes_on(100).await?;
            // A replaced pod shows that the program works again.
            namespace.wait(POD, ["delete", "pod", "visits-3"]).await?;
            Pod::ready(namespace, "visits-3").await.map(drop)
        })
        .await?;
        for before in &before[..REPLICAS - 1] {
            // After its own restart, kubelet may report a pod as not ready until it has probed it again.
            let after = Pod::ready(namespace, before.name()).await?;
            ensure!(
                before.uid() == after.uid(),
                "{} is another pod",
                after.name()
            );
            after.check_undisturbed()?;
        }
        no_pod_is_left_over(&cluster).await
    })
    .await
}

#[tokio::test]
#[ignore = "needs the node: restarts kubelet on it"]
async fn no_visitor_notices_a_restart_of_kubelet() -> Result<()> {
    no_visitor_notices_a_restart_of("kubelet").await
}

#[tokio::test]
#[ignore = "needs the node: restarts containerd on it"]
async fn no_visitor_notices_a_restart_of_containerd() -> Result<()> {
    no_visitor_notices_a_restart_of("containerd").await
}

/// How many kills the test makes, unless the environment states another number.
const KILLS: u32 = 3;

#[tokio::test]
#[ignore = "needs the node: kills kubelet on it"]
async fn no_visitor_notices_that_kubelet_is_killed_and_counts_stay_linearizable() -> Result<()> {
    let cluster = Cluster::alone().await?;
    let disk = Disk::new(&cluster).await?;
    Namespace::with(&cluster, async |namespace| {
        let counters = StatefulSet::start_on(namespace, &disk).await?;
        let address = counters.address().await?;
        let before = Pod::ready(namespace, "visits-0").await?;
        let (kills, history) = (Kills::plan(KILLS)?, History::new());
        let stop = AtomicBool::new(false);
        let killed = async {
            while let Some(kill) = kills.next() {
                kill.moment(&history).await?;
                cluster.kill("kubelet").await?;
            }
            stop.store(true, Ordering::Relaxed);
            Ok(())
        };
        tokio::try_join!(killed, history.visits_until(address, 8, &stop))?;
        let count = counters.count(0).await?;
        ensure!(
            history.answered() as u64 == count,
            "{} visits were answered and {count} counted",
            history.answered()
        );
        history.check_count(count)?;
        history.check_linearizable().await?;
        let after = Pod::ready(namespace, "visits-0").await?;
        ensure!(before.uid() == after.uid(), "the pod is another one");
        after.check_undisturbed()?;
        // A replaced pod shows that kubelet works again.
        namespace.wait(POD, ["delete", "pod", "visits-0"]).await?;
        Pod::ready(namespace, "visits-0").await?;
        ensure!(counters.count(0).await? == count);
        no_pod_is_left_over(&cluster).await
    })
    .await
}

#[tokio::test]
#[ignore = "needs the node: reads kernel parameters on it"]
async fn kernel_parameters_that_kubelet_sets_stay_on_the_node() -> Result<()> {
    let cluster = Cluster::shared().await?;
    for name in [
        "kernel/panic",
        "kernel/panic_on_oops",
        "vm/overcommit_memory",
    ] {
        let over = cluster
            .shell(&format!("stat -fc %T /proc/sys/{name}"))
            .await?;
        ensure!(
            over.trim() == "tmpfs",
            "{name} belongs to the machine: {over}"
        );
    }
    // kubelet has set its own value all the same.
    let panic = cluster.shell("cat /proc/sys/kernel/panic_on_oops").await?;
    ensure!(panic.trim() == "1", "kernel/panic_on_oops is {panic}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs the node: kills it"]
async fn a_power_cut_under_load_loses_no_visit_and_no_pod() -> Result<()> {
    let cluster = Cluster::alone().await?;
    Namespace::with(&cluster, async |namespace| {
        let counters = StatefulSet::start(namespace, &Manifests::only_people_count()).await?;
        let address = counters.address().await?;
        visitors::visits_to_all(address).await?;
        let before = counters.counts().await?;
        let load = Load::start(address);
        load.goes_on(200).await?;
        cluster.stop().await?;
        let report = load.end().await?;
        ensure!(!report.failures.is_empty(), "the node was not stopped");
        cluster.start().await?;
        // The API still has the state from before the stop. A new container of a pod is the first change.
        for number in 0..REPLICAS {
            let name = format!("visits-{number}");
            let restarted = |pod: &Pod| pod.restarts() == 1 && pod.is_ready();
            Pod::once(namespace, &name, "it runs again", restarted).await?;
        }
        let after = counters.counts().await?;
        report.served.were_not_lost(before, after, report.sent)?;
        let served = visitors::visits_to_all(counters.address().await?).await?;
        served.were_counted(after, counters.counts().await?)?;
        // A pod from before the stop can be deleted.
        namespace.wait(POD, ["delete", "pod", "visits-3"]).await?;
        Pod::ready(namespace, "visits-3").await?;
        no_pod_is_left_over(&cluster).await
    })
    .await
}

/// Waits until no pod is terminating and the node runs exactly one shim a pod.
async fn no_pod_is_left_over(cluster: &Cluster) -> Result<()> {
    let what = "one shim a pod, and no terminating pod";
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
