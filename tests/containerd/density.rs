//! The memory that one more pod of the same image costs a node that runs several. Pages of the shim's program and of the
//! component's code are shared, so each process counts its share of them (PSS).

use crate::cri::{Pod, Setup};
use crate::node::Node;
use crate::{images, process};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use visits_tests::get;

const PODS: u64 = 10;

/// The most that one more pod may cost in bytes, as docs/operating.md and runtimeclass/README.md promise it. 6,693 to
/// 7,068 KiB were measured; the rest is a margin for other kernels.
const PROMISED: u64 = 8 << 20;

/// The memory of processes in bytes: their own pages, and their share of mapped files.
#[derive(Clone, Copy, Default)]
struct Share {
    own: u64,
    files: u64,
}

/// Returns the memory of the processes of all pods, by their role.
fn shares() -> Result<BTreeMap<&'static str, Share>> {
    let mut shares = BTreeMap::<_, Share>::new();
    for process in process::all()? {
        let Ok(name) = std::fs::read_to_string(format!("/proc/{}/comm", process.pid)) else {
            continue;
        };
        let role = match name.trim() {
            "preopen" => "the component and its host",
            "containerd-shim" => "the shim",
            "pause" | "sleep" | "busybox" | "sh" => "the pod's pause",
            _ => continue,
        };
        let Ok(text) = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", process.pid))
        else {
            continue;
        };
        let of = |field: &str| -> u64 {
            let line = text.lines().find_map(|line| line.strip_prefix(field));
            let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
            kib.unwrap_or(0) << 10
        };
        let share = shares.entry(role).or_default();
        share.own += of("Pss_Anon:");
        share.files += of("Pss_File:") + of("Pss_Shmem:");
    }
    Ok(shares)
}

#[tokio::test]
#[ignore = "needs root"]
async fn one_more_pod_costs_the_node_eight_mebibytes() -> Result<()> {
    let node = Node::alone().await?;
    let mut pods = Vec::new();
    let mut before = BTreeMap::new();
    for number in 1..=PODS {
        let (pod, container) = Pod::serving(&node, Setup::of(images::VISITS)).await?;
        for _ in 0..20 {
            get(pod.address(), "/").await?;
        }
        pods.push((pod, container));
        if number == PODS - 1 {
            before = shares()?;
        }
    }
    let after = shares()?;
    let mut all = 0;
    for (role, share) in &after {
        let less = before.get(role).copied().unwrap_or_default();
        let own = share.own.saturating_sub(less.own);
        let files = share.files.saturating_sub(less.files);
        println!(
            "{role:27} {:6} KiB of its own, {:6} KiB of files",
            own >> 10,
            files >> 10
        );
        all += own + files;
    }
    println!("one more pod, the {PODS}th:      {:6} KiB", all >> 10);
    for role in ["the shim", "the component and its host"] {
        let share = after
            .get(role)
            .with_context(|| format!("no process is {role}"))?;
        ensure!(share.own > 0, "{role} has no memory of its own");
    }
    ensure!(
        all <= PROMISED,
        "one more pod costs {all} bytes, {PROMISED} are promised"
    );
    Ok(())
}
