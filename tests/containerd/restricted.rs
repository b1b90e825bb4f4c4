//! A restricted pod: a container has exactly the rights that the pod gives, compared with runc field by field.

use crate::container::Workload;
use crate::cri::{HANDLER, Pod, PodContainer, RUNC, Setup};
use crate::node::Node;
use crate::rights::{Fields, as_strict, mounts, same};
use crate::{images, process};
use anyhow::{Context, Result, ensure};
use rustix::fs::StatVfsMountFlags;
use std::collections::BTreeMap;
use std::path::Path;
use visits_tests::get;

/// The fields of the status file that describe the rights of a process.
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

/// Returns the rights of a process, with the limits and the OOM score.
fn granted(pid: i32) -> Result<BTreeMap<String, String>> {
    let mut granted = BTreeMap::new();
    for name in GRANTED {
        let mut value = process::status(pid, name)?;
        if name == "NSpid" {
            // The process id in the container, not the one on the node.
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

/// Returns the mounts of a pod's process without /dev/shm: containerd configures stricter options for it, which runc loses
/// and this runtime keeps.
fn pod_mounts(pid: i32) -> Result<Fields> {
    let mut mounts = mounts(pid)?;
    mounts
        .remove("/dev/shm")
        .context("/dev/shm is not mounted")?;
    Ok(mounts)
}

/// Starts a component under the shim and a program under runc, with the same restrictions.
async fn both(node: &Node) -> Result<[(Pod, PodContainer); 2]> {
    let wasm = Pod::serving(node, Setup::of(images::VISITS)).await?;
    let native = Pod::of(Workload::Runc, node).await?;
    Ok([wasm, native])
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_component_has_no_right_that_the_pod_does_not_give() -> Result<()> {
    let node = Node::shared().await?;
    let pods = both(&node).await?;
    let wasm = granted(pods[0].1.pid().await?)?;
    let mut native = granted(pods[1].1.pid().await?)?;
    assert_eq!(wasm["Uid"], "65532\t65532\t65532\t65532");
    assert_eq!(wasm["Gid"], "65532\t65532\t65532\t65532");
    assert_eq!(wasm["CapEff"], "0000000000000000");
    assert_eq!(wasm["CapBnd"], "0000000000000000");
    assert_eq!(wasm["NoNewPrivs"], "1");
    assert_eq!(wasm["Seccomp"], "2");
    // The component has the pod's filter and the shim's own.
    assert_eq!(native["Seccomp_filters"], "1");
    native.insert("Seccomp_filters".into(), "2".into());
    same("the component, and a program under runc", &wasm, &native)
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_native_program_has_the_rights_and_mounts_that_it_has_under_runc() -> Result<()> {
    let node = Node::shared().await?;
    let as_root = Setup::native("sleep 1000");
    let as_user = Setup::of_workload(Workload::Native);
    for setup in [as_root, as_user] {
        let mut seen = Vec::new();
        for handler in [HANDLER, RUNC] {
            let pod = Pod::start(&node, handler).await?;
            let pid = pod.run(&node, setup.clone()).await?.pid().await?;
            seen.push((granted(pid)?, pod_mounts(pid)?));
        }
        same("the program, and under runc", &seen[0].0, &seen[1].0)?;
        as_strict(&seen[0].1, &seen[1].1)?;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn every_thread_of_a_component_is_as_restricted_as_its_first() -> Result<()> {
    let node = Node::shared().await?;
    let (_pod, container) = Pod::serving(&node, Setup::of(images::VISITS)).await?;
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
    ensure!(threads > 1, "the component has {threads} threads");
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_component_sees_the_mounts_that_runc_would_make() -> Result<()> {
    let node = Node::shared().await?;
    let pods = both(&node).await?;
    let wasm = pod_mounts(pods[0].1.pid().await?)?;
    let native = pod_mounts(pods[1].1.pid().await?)?;
    ensure!(wasm["/"].contains("overlay ro"), "{wasm:?}");
    as_strict(&wasm, &native)
}

#[tokio::test]
#[ignore = "needs root"]
async fn without_a_volume_visits_are_refused_on_a_read_only_root() -> Result<()> {
    let node = Node::shared().await?;
    let (pod, _container) = Pod::serving(&node, Setup::of(images::VISITS)).await?;
    let reply = get(pod.address(), "/").await?;
    assert_eq!(reply.status, 503);
    ensure!(reply.text().contains("read-only"), "{}", reply.text());
    assert_eq!(get(pod.address(), "/livez").await?.status, 200);
    Ok(())
}

/// Whether this is a file on a read-only mount.
fn is_read_only_file(path: &Path) -> Result<bool> {
    let mount = rustix::fs::statvfs(path)?.f_flag;
    Ok(std::fs::metadata(path)?.is_file() && mount.contains(StatVfsMountFlags::RDONLY))
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_component_holds_no_descriptor_of_the_nodes() -> Result<()> {
    let node = Node::shared().await?;
    let (_pod, container) = Pod::serving(&node, Setup::of(images::VISITS)).await?;
    let pid = container.pid().await?;
    let mut descriptors = 0;
    for entry in std::fs::read_dir(format!("/proc/{pid}/fd"))? {
        let entry = entry?;
        let number: u32 = entry.file_name().to_string_lossy().parse()?;
        let target = std::fs::read_link(entry.path())?;
        let target = target.to_string_lossy();
        let own = number <= 2
            || target.starts_with("socket:")
            || target.starts_with("anon_inode:")
            || target.starts_with("pipe:")
            || target.starts_with("/app/")
            // The component's code, on a mount of its own.
            || (target == "/" && is_read_only_file(&entry.path())?);
        ensure!(own, "descriptor {number} is {target}");
        descriptors += 1;
    }
    // Besides the standard streams there is at least the listening socket.
    ensure!(descriptors > 3, "{descriptors} descriptors");
    Ok(())
}
