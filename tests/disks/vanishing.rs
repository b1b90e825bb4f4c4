//! Disks that disappear under load.

use crate::disk::{Cache, Disk, Failure};
use crate::file_system::FileSystem;
use crate::refusals::lose_nothing;
use crate::volume::Volume;
use anyhow::Result;
use futures::future::{Either, select};
use std::pin::pin;
use visits_tests::Host;
use visits_tests::history::History;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root: mounts a file system"]
async fn a_disk_that_stops_answering_loses_no_acknowledged_visit() -> Result<()> {
    lose_nothing(Failure::Write, Disk::cut_power).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root: mounts a file system"]
async fn a_disk_that_is_taken_away_loses_no_acknowledged_visit() -> Result<()> {
    lose_nothing(Failure::Write, Disk::take_away).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root: mounts a file system"]
async fn a_disk_that_is_detached_counts_until_it_is_unmounted() -> Result<()> {
    let mut volume = Volume::new(FileSystem::Ext4, Cache::Writeback, Failure::Write).await?;
    let host = Host::of(volume.app()).start().await?;
    let history = History::new();
    let detached = async {
        history.answers(20).await?;
        volume.disk().detach()?;
        history.answers(200).await
    };
    let clients = history.visit_until_the_end(host.address(), 8);
    match select(pin!(detached), pin!(clients)).await {
        Either::Left((detached, _)) => detached,
        Either::Right(_) => Err(host.failed("visits are refused")),
    }
}
