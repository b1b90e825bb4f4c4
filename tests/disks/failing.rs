//! Disks that fail to write or to flush, and file systems that become read-only.

use crate::disk::{Cache, Failure};
use crate::file_system::FileSystem;
use crate::options;
use crate::power;
use crate::refusals::{FAILED, lose_nothing, refusal, until_refused};
use crate::volume::Volume;
use anyhow::{Context, Result, ensure};
use std::io::ErrorKind;
use visits_tests::Host;
use visits_tests::history::History;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root: mounts a file system"]
async fn a_disk_that_fails_to_write_loses_no_acknowledged_visit() -> Result<()> {
    lose_nothing(Failure::Write, |disk| disk.fail()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root: mounts a file system"]
async fn a_disk_that_fails_to_flush_loses_no_acknowledged_visit() -> Result<()> {
    lose_nothing(Failure::Flush, |disk| disk.fail()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root: mounts a file system"]
async fn a_volume_that_becomes_read_only_under_load_loses_no_acknowledged_visit() -> Result<()> {
    let times = options::cuts()?;
    for file_system in [FileSystem::Ext4, FileSystem::Ext4WithoutJournal] {
        for volume in 1..=times {
            let damaged = becomes_read_only(file_system).await;
            damaged.with_context(|| format!("{file_system}, volume {volume} of {times}"))?;
        }
    }
    println!("{times} volumes of each kind, 0 lost");
    Ok(())
}

async fn becomes_read_only(file_system: FileSystem) -> Result<()> {
    let mut volume = Volume::new(file_system, Cache::Writeback, Failure::Write).await?;
    volume.stop_at_errors()?;
    let host = Host::of(volume.app()).start().await?;
    let history = History::new();
    until_refused(&host, &history, || {
        // ext4 does so when it finds itself damaged.
        let device = volume.disk().device().file_name().context("a device")?;
        let error = format!("/sys/fs/ext4/{}/trigger_fs_error", device.display());
        std::fs::write(&error, "damaged").context(error)
    })
    .await?;
    refusal(&host, &FAILED).await?;
    host.kill9().await?;
    let written = std::fs::write(volume.path().join("another"), "");
    let kind = written.map_err(|error| error.kind());
    ensure!(kind == Err(ErrorKind::ReadOnlyFilesystem), "{kind:?}");
    // A new host is in the same situation.
    let host = Host::of(volume.app()).start().await?;
    refusal(&host, &FAILED).await?;
    host.kill9().await?;
    volume.restore().await?;
    power::check(&volume, &history).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root: mounts a file system"]
async fn after_a_failed_flush_the_counter_must_be_restarted_and_a_journal_replayed() -> Result<()> {
    for file_system in FileSystem::ALL {
        let flushed = fails_to_flush_once(file_system).await;
        flushed.with_context(|| file_system.to_string())?;
    }
    Ok(())
}

async fn fails_to_flush_once(file_system: FileSystem) -> Result<()> {
    let mut volume = Volume::new(file_system, Cache::Writeback, Failure::Flush).await?;
    let host = Host::of(volume.app()).start().await?;
    let history = History::new();
    until_refused(&host, &history, || volume.disk().fail()).await?;
    volume.disk().work()?;
    refusal(&host, &["until the instance is restarted"]).await?;
    host.kill9().await?;
    if file_system == FileSystem::Ext4WithoutJournal {
        power::check(&volume, &history).await?;
    } else {
        // The file system has stopped itself until it is mounted again.
        match Host::of(volume.app()).start().await {
            Ok(host) => {
                refusal(&host, &FAILED).await?;
                host.kill9().await?;
            }
            Err(error) => {
                let text = error.to_string();
                ensure!(text.contains("cannot open the directory"), text);
            }
        }
    }
    volume.restore().await?;
    power::check(&volume, &history).await
}
