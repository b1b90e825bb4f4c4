//! SIGKILL to the component and to the shim, under load and at any moment.

use crate::container::{Container, ContainerBuilder, Runtime};
use crate::events::Events;
use crate::images;
use crate::leftovers::{Leftovers, cycles_leave_nothing};
use crate::node::Node;
use crate::process::{self, Process, parent};
use crate::volumes::volume;
use anyhow::{Context, Result, ensure};
use std::time::Duration;
use visits_tests::history::History;
use visits_tests::load::{self, visits_bin};
use visits_tests::wait::until;
use visits_tests::{DEADLINE, Signal, get};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root"]
async fn a_component_killed_under_load_loses_no_acknowledged_visit() -> Result<()> {
    let node = Node::shared().await?;
    let volume = volume()?;
    let mut acknowledged = 0;
    for _ in 0..5 {
        let container = Container::visits(volume.path()).start(&node).await?;
        let history = History::new();
        let kill = async {
            history.answers(200).await?;
            process::kill(container.pid().await?, Signal::KILL)?;
            container.ended(&node).await
        };
        let (ended, ()) = futures::join!(kill, history.visit_until_the_end(container.address(), 8));
        assert_eq!(ended?.code, 137);
        let highest = history.highest();
        let count = visits_bin(volume.path())?;
        ensure!(
            acknowledged < highest && highest <= count,
            "{highest} was acknowledged after {acknowledged}, {count} is written"
        );
        acknowledged = highest;
        container.remove().await?;
    }
    let container = Container::visits(volume.path()).start(&node).await?;
    let next = load::visits(container.address(), 1, 1).await?[0];
    ensure!(next > acknowledged, "{next} after {acknowledged}");
    Ok(())
}

/// After the kill of a shim, of runc's too, `ctr` leaves its pipes and containerd its socket.
const PIPES: &str = "/run/containerd/fifo";
const SOCKETS: &str = "/run/containerd/s";

async fn ends_with_its_shim(builder: ContainerBuilder) -> Result<()> {
    let node = Node::alone().await?;
    cycles_leave_nothing(&node, 10, &[PIPES, SOCKETS], async |_| {
        let container = builder.clone().start(&node).await?;
        let pid = container.pid().await?;
        process::kill(parent(pid)?, Signal::KILL)?;
        node.with_log(process::ends(pid).await)?;
        container.exited(&node).await?;
        container.remove().await
    })
    .await
}

#[tokio::test]
#[ignore = "needs root"]
async fn under_runc_a_container_ends_with_its_shim_which_proves_the_harness() -> Result<()> {
    let native = Container::native("exec httpd -f -p 5000 -h /tmp");
    ends_with_its_shim(native.runtime(Runtime::Runc)).await
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_container_ends_with_its_shim_and_nothing_stays() -> Result<()> {
    ends_with_its_shim(Container::of(images::VISITS)).await
}

#[tokio::test]
#[ignore = "needs root"]
async fn the_exit_that_is_reported_for_a_killed_shim_names_the_process() -> Result<()> {
    let node = Node::shared().await?;
    for runtime in Runtime::BOTH {
        let container = Container::sleeping(runtime).spawn().await?;
        let pid = container.runs().await?;
        let events = Events::of(container.id()).await?;
        process::kill(parent(pid)?, Signal::KILL)?;
        let reported = events
            .exit()
            .await
            .with_context(|| format!("{runtime:?}"))?;
        assert_eq!(reported, u64::try_from(pid)?, "{runtime:?}");
        container.exited(&node).await?;
        container.remove().await?;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_count_continues_after_its_shim_was_killed() -> Result<()> {
    let node = Node::shared().await?;
    let volume = volume()?;
    for first in [1, 11] {
        let container = Container::visits(volume.path()).start(&node).await?;
        let numbers = load::visits(container.address(), 1, 10).await?;
        load::assert_exactly(numbers, first, first + 9);
        process::kill(parent(container.pid().await?)?, Signal::KILL)?;
        container.exited(&node).await?;
        container.remove().await?;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_killed_shim_ends_no_other_container() -> Result<()> {
    let node = Node::shared().await?;
    let one = Container::of(images::HELLO).start(&node).await?;
    let other = Container::of(images::HELLO).start(&node).await?;
    process::kill(parent(one.pid().await?)?, Signal::KILL)?;
    one.exited(&node).await?;
    assert_eq!(get(other.address(), "/").await?.status, 200);
    assert_eq!(other.stop(&node).await?.code, 0);
    Ok(())
}

/// Passes the container's shim processes to `enough` until it returns true. Those that only clean up are left out.
async fn shims_of(
    container: &Container,
    what: &str,
    mut enough: impl AsyncFnMut(Vec<Process>) -> Result<bool>,
) -> Result<()> {
    let name = format!(" -id {} ", container.id());
    until(what, DEADLINE, async || {
        let mut shims = process::all()?;
        shims.retain(|one| {
            format!("{} ", one.line).contains(&name) && !one.line.ends_with(" delete")
        });
        Ok(enough(shims).await?.then_some(()))
    })
    .await
}

/// Kills the shim while it creates or starts a container, a little later each time, and checks that nothing is left.
async fn dies_at_any_moment(builder: ContainerBuilder, ignored: &[&str]) -> Result<()> {
    let node = Node::alone().await?;
    let first = builder.clone().start(&node).await?;
    first.signal("SIGKILL").await?;
    first.ended(&node).await?;
    first.remove().await?;
    let before = Leftovers::now()?;
    for cycle in 0..40 {
        let container = builder.clone().spawn().await?;
        shims_of(&container, "the container has a shim", async |shims| {
            Ok(!shims.is_empty())
        })
        .await?;
        tokio::time::sleep(Duration::from_millis(3 * cycle)).await;
        // Repeatedly, because a starting shim hands over to another process.
        shims_of(&container, "the container ends", async |shims| {
            for shim in shims {
                // It may have ended meanwhile.
                let _ = process::kill(shim.pid, Signal::KILL);
            }
            Ok(container.has_exited())
        })
        .await
        .map_err(|error| node.failed(&format!("cycle {cycle}: {error:#}")))?;
        container.remove().await?;
    }
    before.nothing_added_outside(&node, ignored).await
}

#[tokio::test]
#[ignore = "needs root"]
async fn under_runc_a_shim_may_die_at_any_moment_which_proves_the_harness() -> Result<()> {
    let native = Container::native("exec httpd -f -p 5000 -h /tmp").runtime(Runtime::Runc);
    // runc leaves empty cgroups and its state directory.
    let ignored = [PIPES, SOCKETS, "/sys/fs/cgroup", "/run/containerd/runc"];
    dies_at_any_moment(native, &ignored).await
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_shim_may_die_at_any_moment() -> Result<()> {
    dies_at_any_moment(Container::of(images::HELLO), &[PIPES, SOCKETS]).await
}
