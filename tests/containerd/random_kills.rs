//! `kill -9` of shims and of containerd at random moments under load. `cargo xtask kills` makes more of them.

use crate::container::Container;
use crate::cri::{Pod, Setup};
use crate::node::Node;
use crate::process::{self, parent};
use crate::volumes::volume;
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use visits_tests::Signal;
use visits_tests::history::History;
use visits_tests::kills::{Kill, Kills};
use visits_tests::load::visits_bin;

/// How many kills each test makes, unless the environment states another number.
const SHIMS: u32 = 10;
const CONTAINERDS: u32 = 3;

/// The clients of each container.
const CLIENTS: usize = 8;

/// Starts a counter, kills its shim under load, and removes the container, which has ended with its shim.
async fn kill_shim(node: &Node, volume: &Path, kill: Kill, history: &History) -> Result<()> {
    let container = Container::visits(volume).start(node).await?;
    let shim = parent(container.pid().await?)?;
    let killed = async {
        kill.moment(history).await?;
        process::kill(shim, Signal::KILL)?;
        container.exited(node).await
    };
    let load = async {
        history
            .visit_until_the_end(container.address(), CLIENTS)
            .await;
        Ok(())
    };
    container.with_output(tokio::try_join!(killed, load))?;
    container.remove().await?;
    history.check_published(volume)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root"]
async fn two_counters_on_one_volume_whose_shims_are_killed_stay_linearizable() -> Result<()> {
    let node = Node::shared().await?;
    let volume = volume()?;
    let (kills, history) = (Kills::plan(SHIMS)?, History::new());
    let counter = async || {
        while let Some(kill) = kills.next() {
            let killed = kill_shim(&node, volume.path(), kill, &history).await;
            node.with_log(killed).with_context(|| kill.to_string())?;
        }
        anyhow::Ok(())
    };
    tokio::try_join!(counter(), counter())?;
    history.check_none_refused()?;
    history.check_count(visits_bin(volume.path())?)?;
    history.check_linearizable().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root"]
async fn no_visitor_notices_that_containerd_is_killed_and_counts_stay_linearizable() -> Result<()> {
    let mut node = Node::alone().await?;
    let volume = volume()?;
    let (one, _first) = Pod::serving(&node, Setup::visits(volume.path())).await?;
    let (other, second) = Pod::serving(&node, Setup::visits(volume.path())).await?;
    let (kills, history) = (Kills::plan(CONTAINERDS)?, History::new());
    let stop = AtomicBool::new(false);
    let killed = async {
        while let Some(kill) = kills.next() {
            kill.moment(&history).await?;
            node.kill9()?;
            kill.moment(&history).await?;
            let started = node.start_again().await;
            started.with_context(|| kill.to_string())?;
        }
        stop.store(true, Ordering::Relaxed);
        Ok(())
    };
    tokio::try_join!(
        killed,
        history.visits_until(one.address(), CLIENTS, &stop),
        history.visits_until(other.address(), CLIENTS, &stop)
    )?;
    // containerd knows its containers again.
    second.stop(30).await?;
    let count = visits_bin(volume.path())?;
    ensure!(
        history.answered() as u64 == count && history.sent() == count,
        "{} of {} visits were answered and {count} counted",
        history.answered(),
        history.sent()
    );
    history.check_count(count)?;
    history.check_linearizable().await
}
