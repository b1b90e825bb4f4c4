//! A container whose creation is blocked is removed, and the process that blocks it is killed.

use crate::container::{Container, Runtime};
use crate::node::Node;
use crate::process::{self, parent};
use crate::{cgroup, images};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use visits_tests::{DEADLINE, Signal, wait};

/// Returns the directory that containerd keeps for a container while it exists.
fn bundle(id: &str) -> PathBuf {
    PathBuf::from("/run/containerd/io.containerd.runtime.v2.task/visits").join(id)
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_process_of_the_container_that_keeps_the_lock_is_killed_with_it() -> Result<()> {
    let node = Node::alone().await?;
    let builder = Container::of(images::HELLO).runtime(Runtime::Preopen);
    let container = builder.start(&node).await?;
    let lock = bundle(container.id()).join("create.lock");
    ensure!(lock.exists(), "{} does not exist", lock.display());
    // In the cgroup and with the lock, as a process blocked by a FIFO in the image would be. `--no-fork`: a separate
    // process for `sleep` might start before this one is moved to the cgroup.
    let mut holder = Command::new("flock")
        .arg("--no-fork")
        .arg(&lock)
        .args(["sleep", "1000"])
        .stdin(Stdio::null())
        .spawn()
        .context("cannot run flock, which is part of util-linux")?;
    let controllers: &[&str] = match cgroup::is_v2() {
        true => &[""],
        false => &["memory", "pids", "cpu", "devices", "freezer"],
    };
    for controller in controllers {
        let directory = cgroup::directory(controller, container.cgroup());
        fs::write(directory.join("cgroup.procs"), holder.id().to_string())?;
    }
    wait::until("the lock is taken", DEADLINE, async || {
        let mut tried = Command::new("flock");
        tried
            .args(["--nonblock", "--shared"])
            .arg(&lock)
            .arg("true");
        Ok((!tried.status()?.success()).then_some(()))
    })
    .await?;
    process::kill(parent(container.pid().await?)?, Signal::KILL)?;
    let id = container.id().to_owned();
    container.exited(&node).await?;
    container.remove().await?;
    wait::until("the holder is killed", DEADLINE, async || {
        Ok(holder.try_wait()?)
    })
    .await?;
    let state = PathBuf::from("/run/containerd/preopen/visits").join(&id);
    let gone = wait::until("nothing is left of the container", DEADLINE, async || {
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        Ok((!state.exists() && !mounts.contains(&format!("/{id}/"))).then_some(()))
    });
    node.with_log(gone.await)
}
