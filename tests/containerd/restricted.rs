//! A container as restricted as its pod says: held against the same setup under runc, line by line.

use crate::cri::{HANDLER, Pod, PodContainer, Setup};
use crate::node::Node;
use crate::{images, process};
use anyhow::{Context, Result, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use visits_tests::get;

/// What the kernel grants a process, by the names of its status file.
const GRANTED: [&str; 12] = [
    "Uid",
    "Gid",
    "Groups",
    "CapInh",
    "CapPrm",
    "CapEff",
    "CapBnd",
    "CapAmb",
    "NoNewPrivs",
    "Seccomp",
    "Seccomp_filters",
    "NSpid",
];

fn granted(pid: i32) -> Result<BTreeMap<String, String>> {
    let mut granted = BTreeMap::new();
    for name in GRANTED {
        let mut value = process::status(pid, name)?;
        if name == "NSpid" {
            // The node's number differs; the container's own is what counts.
            value = value
                .split_whitespace()
                .last()
                .unwrap_or_default()
                .to_owned();
        }
        granted.insert(name.to_owned(), value);
    }
    let oom = std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj"))?;
    granted.insert("oom_score_adj".to_owned(), oom.trim().to_owned());
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits"))?;
    for line in limits.lines() {
        let (name, values) = line.split_at(line.len().min(26));
        granted.insert(name.trim().to_owned(), values.to_owned());
    }
    Ok(granted)
}

/// Mount points and their options, without what names the container.
fn mounts(pid: i32) -> Result<BTreeMap<String, String>> {
    let path = format!("/proc/{pid}/mountinfo");
    let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    let mounts = text.lines().filter_map(|line| {
        let (first, second) = line.split_once(" - ")?;
        let first: Vec<&str> = first.split(' ').collect();
        let kind = second.split(' ').next()?;
        Some((
            first.get(4)?.to_string(),
            format!("{kind} {}", first.get(5)?),
        ))
    });
    Ok(mounts.collect())
}

/// What differs is named, one thing a line.
fn same<K: Ord + Debug>(here: &BTreeMap<K, String>, runc: &BTreeMap<K, String>) -> Result<()> {
    let keys: BTreeSet<&K> = here.keys().chain(runc.keys()).collect();
    let differences = keys
        .into_iter()
        .filter(|key| here.get(key) != runc.get(key));
    let told: Vec<String> = differences
        .map(|key| {
            format!(
                "{key:?}: {:?}, under runc {:?}",
                here.get(key),
                runc.get(key)
            )
        })
        .collect();
    ensure!(told.is_empty(), "{}", told.join("\n"));
    Ok(())
}

/// The same mounts, each with every restriction that it has under runc.
fn as_strict(here: &BTreeMap<String, String>, runc: &BTreeMap<String, String>) -> Result<()> {
    let strict = |mounts: &BTreeMap<String, String>| -> BTreeMap<String, String> {
        let words = ["ro", "nosuid", "nodev", "noexec"];
        let of = |options: &str| -> Vec<String> {
            let given = options
                .split([' ', ','])
                .filter(|word| words.contains(word));
            given.map(str::to_owned).collect()
        };
        mounts
            .iter()
            .map(|(point, options)| (point.clone(), of(options).join(",")))
            .collect()
    };
    let (mut here, mut runc) = (strict(here), strict(runc));
    // A hierarchy of cgroups that has no controller; to leave it out takes nothing from anyone.
    runc.remove("/sys/fs/cgroup/systemd");
    here.remove("/sys/fs/cgroup/systemd");
    // Stricter than the pod asks for: containerd mounts it so, and runc takes that back.
    here.insert("/dev/shm".into(), String::new());
    same(&here, &runc)
}

/// The same container setup under the shim with a component, and under runc with a program.
async fn both(node: &Node) -> Result<[(Pod, PodContainer); 2]> {
    let pod = Pod::start(node, HANDLER).await?;
    let wasm = pod.run(node, Setup::of(images::VISITS)).await?;
    wasm.listens(&pod, node).await?;
    let other_pod = Pod::start(node, "runc").await?;
    let setup = Setup::of(images::NATIVE).command(["/tools/sleep", "1000"]);
    let native = other_pod.run(node, setup).await?;
    Ok([(pod, wasm), (other_pod, native)])
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_component_has_no_right_that_the_pod_does_not_give() -> Result<()> {
    let node = Node::shared().await?;
    let pods = both(&node).await?;
    let wasm = granted(pods[0].1.pid().await?)?;
    let native = granted(pods[1].1.pid().await?)?;
    assert_eq!(wasm["Uid"], "65532\t65532\t65532\t65532");
    assert_eq!(wasm["Gid"], "65532\t65532\t65532\t65532");
    assert_eq!(wasm["CapEff"], "0000000000000000");
    assert_eq!(wasm["CapBnd"], "0000000000000000");
    assert_eq!(wasm["NoNewPrivs"], "1");
    assert_eq!(wasm["Seccomp"], "2");
    same(&wasm, &native)
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_native_program_has_the_rights_and_mounts_that_it_has_under_runc() -> Result<()> {
    let node = Node::shared().await?;
    let as_root = Setup::native("sleep 1000");
    let as_user = Setup::of(images::NATIVE).command(["/tools/sleep", "1000"]);
    for setup in [as_root, as_user] {
        let mut seen = Vec::new();
        for handler in [HANDLER, "runc"] {
            let pod = Pod::start(&node, handler).await?;
            let pid = pod.run(&node, setup.clone()).await?.pid().await?;
            seen.push((granted(pid)?, mounts(pid)?));
        }
        same(&seen[0].0, &seen[1].0)?;
        as_strict(&seen[0].1, &seen[1].1)?;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn every_thread_of_a_component_is_as_restricted_as_its_first() -> Result<()> {
    let node = Node::shared().await?;
    let pod = Pod::start(&node, HANDLER).await?;
    let container = pod.run(&node, Setup::of(images::VISITS)).await?;
    container.listens(&pod, &node).await?;
    let pid = container.pid().await?;
    let mut threads = 0;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let status = std::fs::read_to_string(thread?.path().join("status"))?;
        for expected in [
            "CapEff:\t0000000000000000",
            "NoNewPrivs:\t1",
            "Seccomp:\t2",
            "Uid:\t65532\t65532\t65532\t65532",
        ] {
            ensure!(status.contains(expected), "no {expected:?} in {status}");
        }
        threads += 1;
    }
    ensure!(threads > 1, "{threads} thread");
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_component_sees_the_mounts_that_runc_would_make() -> Result<()> {
    let node = Node::shared().await?;
    let pods = both(&node).await?;
    let wasm = mounts(pods[0].1.pid().await?)?;
    let native = mounts(pods[1].1.pid().await?)?;
    ensure!(wasm["/"].contains("overlay ro"), "{wasm:?}");
    as_strict(&wasm, &native)
}

#[tokio::test]
#[ignore = "needs root"]
async fn on_a_read_only_root_the_image_s_own_directory_refuses_visits() -> Result<()> {
    let node = Node::shared().await?;
    let pod = Pod::start(&node, HANDLER).await?;
    let container = pod.run(&node, Setup::of(images::VISITS)).await?;
    container.listens(&pod, &node).await?;
    let reply = get(pod.address(), "/").await?;
    assert_eq!(reply.status, 503);
    ensure!(reply.text().contains("read-only"), "{}", reply.text());
    assert_eq!(get(pod.address(), "/livez").await?.status, 200);
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_component_holds_no_descriptor_of_the_nodes() -> Result<()> {
    let node = Node::shared().await?;
    let pod = Pod::start(&node, HANDLER).await?;
    let container = pod.run(&node, Setup::of(images::VISITS)).await?;
    container.listens(&pod, &node).await?;
    let pid = container.pid().await?;
    for entry in std::fs::read_dir(format!("/proc/{pid}/fd"))? {
        let entry = entry?;
        let number: u32 = entry.file_name().to_string_lossy().parse()?;
        let target = std::fs::read_link(entry.path())?;
        let target = target.to_string_lossy();
        let own = number <= 2
            || target.starts_with("socket:")
            || target.starts_with("anon_inode:")
            || target.starts_with("pipe:")
            || target.starts_with("/app/");
        ensure!(own, "descriptor {number} is {target}");
    }
    Ok(())
}
