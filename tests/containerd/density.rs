//! Memory of many: what one more pod of the same image costs a node that runs some already. Shared pages, of the shim's
//! program and of the component's code, count for each process by its share (PSS).

use crate::cri::{HANDLER, Pod, Setup};
use crate::node::Node;
use crate::{images, process};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use visits_tests::get;

const PODS: u64 = 10;

/// More than this and something has been loaded that was not meant to be, the compiler for instance.
const CEILING: u64 = 20 << 20;

/// Bytes: pages that are a process's own, and its share of mapped files.
#[derive(Clone, Copy, Default)]
struct Share {
    own: u64,
    files: u64,
}

/// What the processes of all pods have, by what they are.
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
async fn one_more_pod_costs_the_node_little() -> Result<()> {
    let node = Node::alone().await?;
    let mut pods = Vec::new();
    let mut before = BTreeMap::new();
    for number in 1..=PODS {
        let pod = Pod::start(&node, HANDLER).await?;
        let container = pod.run(&node, Setup::of(images::VISITS)).await?;
        container.listens(&pod, &node).await?;
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
    let shim = after.get("the shim").context("no shim is seen")?;
    assert!(shim.own > 0 && after.contains_key("the component and its host"));
    assert!(all < CEILING, "one more pod costs {all} bytes");
    Ok(())
}
