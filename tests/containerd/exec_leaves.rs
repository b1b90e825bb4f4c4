//! Many execs, at once and in sequence, leave nothing on the node.

use crate::container::{Container, Runtime};
use crate::images;
use crate::leftovers::Leftovers;
use crate::node::Node;
use crate::process::parent;
use crate::task_api::Shim;
use crate::volumes::volume;
use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use visits_tests::{DEADLINE, load, wait};

/// The number of execs at a time.
const AT_ONCE: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root"]
async fn two_hundred_execs_at_once_each_have_their_own_output_and_no_visit_is_lost() -> Result<()> {
    let node = Node::shared().await?;
    let volume = volume()?;
    let container = Container::visits(volume.path()).start(&node).await?;
    let execs = (0..200).map(async |number: u32| {
        let line = format!("line {number}");
        let execed = container.exec(["echo", &line]).run(&node).await?;
        assert_eq!(
            (execed.code, execed.text()),
            (0, format!("{line}\n")),
            "{execed:?}"
        );
        Ok::<_, anyhow::Error>(())
    });
    let execs = futures::future::try_join_all(execs);
    let (execed, visits) = futures::join!(execs, load::visits(container.address(), 4, 100));
    let _: Vec<()> = execed?;
    load::assert_exactly(visits?, 1, 400);
    let read = container.exec(["cat", "/app/persistent/visits.bin"]);
    let read = read.run(&node).await?;
    assert_eq!(read.stdout, 400_u64.to_le_bytes());
    Ok(())
}

/// Returns the number of descriptors of a process and its private memory in KiB.
fn resources(pid: i32) -> Result<(usize, u64)> {
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd"))?.count();
    let memory = crate::process::status(pid, "RssAnon")?;
    let memory = memory
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .parse()?;
    Ok((descriptors, memory))
}

async fn leave_nothing(container: &Container, node: &Node, words: &[&str]) -> Result<()> {
    let shim_pid = parent(container.runs().await?)?;
    let shim = Shim::of(container.id()).await?;
    // Most without streams, through the task API alone; some with streams, through `ctr`.
    let round = async |count: u32| -> Result<()> {
        let bare = stream::iter(0..count).map(async |number| {
            let id = format!("bare{number}");
            let code = shim.run(&id, words).await.with_context(|| id.clone())?;
            ensure!(code == 0, "{id} ended with {code}");
            Ok(())
        });
        bare.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        let whole = stream::iter(0..count / 8).map(async |_| {
            let execed = container
                .exec(words.iter().copied())
                .input("not read")
                .run(node)
                .await?;
            ensure!(execed.code == 0, "{execed:?}");
            Ok(())
        });
        whole.buffer_unordered(AT_ONCE).try_collect().await
    };
    // The first execs make directories that all of them use.
    round(16).await?;
    let before = Leftovers::now()?;
    let (descriptors, memory) = resources(shim_pid)?;
    round(448).await?;
    before.nothing_added(node).await?;
    wait::until("the shim has closed what it opened", DEADLINE, async || {
        Ok((resources(shim_pid)?.0 <= descriptors).then_some(()))
    })
    .await?;
    let (_, after) = resources(shim_pid)?;
    ensure!(
        after < memory + (8 << 10),
        "the shim had {memory} KiB and has {after} KiB"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root"]
async fn under_runc_execs_leave_nothing_which_proves_the_harness() -> Result<()> {
    let node = Node::alone().await?;
    let container = Container::sleeping(Runtime::Runc).spawn_running().await?;
    let shim = Shim::of(container.id()).await?;
    let before = Leftovers::now()?;
    for number in 0..20 {
        let id = format!("bare{number}");
        assert_eq!(shim.run(&id, &["true"]).await?, 0, "{id}");
    }
    assert_eq!(container.exec(["true"]).run(&node).await?.code, 0);
    before.nothing_added(&node).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root"]
async fn five_hundred_execs_of_wasm_leave_no_process_mount_cgroup_file_or_descriptor() -> Result<()>
{
    let node = Node::alone().await?;
    let container = Container::of(images::HELLO).start(&node).await?;
    leave_nothing(&container, &node, &["true"]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root"]
async fn five_hundred_native_execs_leave_no_process_mount_cgroup_file_or_descriptor() -> Result<()>
{
    let node = Node::alone().await?;
    let container = Container::sleeping(Runtime::Preopen).spawn().await?;
    leave_nothing(&container, &node, &["true"]).await
}
