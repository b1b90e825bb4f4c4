//! Power cuts on every kind of file system. `cargo xtask disks --cuts N` makes N on each.

use crate::disk::Cache;
use crate::file_system::FileSystem;
use crate::options;
use crate::power::Cuts;
use anyhow::Result;

async fn lose_nothing(cuts: Cuts) -> Result<()> {
    let report = cuts.run(options::cuts()?).await?;
    println!("{report}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root: mounts a file system"]
async fn power_cuts_on_ext4_lose_no_acknowledged_visit() -> Result<()> {
    lose_nothing(Cuts::on(FileSystem::Ext4)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root: mounts a file system"]
async fn power_cuts_on_1_mib_of_ext4_lose_no_acknowledged_visit() -> Result<()> {
    lose_nothing(Cuts::on(FileSystem::Ext4WithoutJournal)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root: mounts a file system"]
async fn power_cuts_on_xfs_lose_no_acknowledged_visit() -> Result<()> {
    lose_nothing(Cuts::on(FileSystem::Xfs)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root: mounts a file system"]
async fn power_cuts_on_btrfs_lose_no_acknowledged_visit() -> Result<()> {
    lose_nothing(Cuts::on(FileSystem::Btrfs)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root: mounts a file system"]
async fn power_cuts_beside_a_second_host_lose_no_acknowledged_visit() -> Result<()> {
    lose_nothing(Cuts {
        hosts: 2,
        ..Cuts::on(FileSystem::Ext4WithoutJournal)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root: mounts a file system"]
async fn power_cuts_between_sectors_lose_no_acknowledged_visit() -> Result<()> {
    lose_nothing(Cuts {
        cache: Cache::Sectors,
        ..Cuts::on(FileSystem::Ext4WithoutJournal)
    })
    .await
}
