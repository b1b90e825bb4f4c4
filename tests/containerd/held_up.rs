//! A container that is held up while it is made is removed, with what holds it up.

use crate::container::{Container, Runtime};
use crate::node::Node;
use crate::process::{self, parent};
use crate::{cgroup, images};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use visits_tests::{DEADLINE, Signal, wait};

/// Where the shim keeps a container while it is made.
fn bundle(id: &str) -> PathBuf {
    PathBuf::from("/run/containerd/io.containerd.runtime.v2.task/visits").join(id)
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_process_of_the_container_that_keeps_the_lock_is_killed_with_it() -> Result<()> {
    let node = Node::alone().await?;
    let builder = Container::of(images::HELLO).runtime(Runtime::Preopen);
    let container = builder.start(&node).await?;
    let lock = bundle(container.id()).join("making");
    ensure!(lock.exists(), "{} is there", lock.display());
    // As the process would that a FIFO among the image's files holds up: in the cgroup, with the lock.
    // Without a process of its own for `sleep`, which might start before the cgroup takes it in.
    let mut holder = Command::new("flock")
        .arg("--no-fork")
        .arg(&lock)
        .args(["sleep", "1000"])
        .stdin(Stdio::null())
        .spawn()
        .context("flock, of util-linux")?;
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
    wait::until("nothing is left of the container", DEADLINE, async || {
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        Ok((!state.exists() && !mounts.contains(&format!("/{id}/"))).then_some(()))
    })
    .await
    .map_err(|error| node.failed(&format!("{error:#}")))
}
