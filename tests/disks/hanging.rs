//! Disks that hang under load, and then go on.

use crate::disk::{Cache, Failure};
use crate::file_system::FileSystem;
use crate::refusals::{refusal, until_refused};
use crate::volume::Volume;
use crate::{options, power};
use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use std::time::{Duration, Instant};
use visits_tests::history::History;
use visits_tests::{DEADLINE, Host, get, wait};

/// How long `/livez` may take while the disk hangs. It takes milliseconds on an idle machine.
const ALIVE: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root: mounts a file system"]
async fn a_disk_that_hangs_is_reported_and_counting_resumes_with_it() -> Result<()> {
    let all = FileSystem::ALL.map(|file_system| async move {
        let hung = hangs(file_system).await;
        hung.with_context(|| file_system.to_string())
    });
    try_join_all(all).await.map(drop)
}

async fn hangs(file_system: FileSystem) -> Result<()> {
    let mut volume = Volume::new(file_system, Cache::Writeback, Failure::Write).await?;
    let host = Host::of(volume.app()).start().await?;
    let history = History::new();
    let mut hung = Instant::now();
    until_refused(&host, &history, || {
        hung = Instant::now();
        volume.disk().hang()
    })
    .await?;
    let line = refusal(&host, &["has not answered"]).await?;
    let end = hung + options::hang()?;
    wait::until(
        "the disk has hung",
        options::hang()? + DEADLINE,
        async || {
            let asked = Instant::now();
            let alive = get(host.address(), "/livez").await?;
            ensure!(alive.status == 200, "/livez: {}", alive.status);
            ensure!(asked.elapsed() < ALIVE, host.failed("/livez is slow"));
            Ok((Instant::now() >= end).then_some(()))
        },
    )
    .await?;
    volume.disk().go_on()?;
    wait::until("counting resumes", DEADLINE, async || {
        let health = get(host.address(), "/healthz").await?;
        Ok((health.status == 200).then_some(()))
    })
    .await?;
    let refused = history.refused();
    until_refused(&host, &history, || volume.disk().cut_power()).await?;
    host.kill9().await?;
    volume.restore().await?;
    power::check(&volume, &history).await?;
    println!("{file_system}: {refused} refused: {line}");
    Ok(())
}
