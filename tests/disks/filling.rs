//! Volumes that become full under load.

use crate::disk::{Cache, Failure};
use crate::file_system::FileSystem;
use crate::power;
use crate::refusals::until_refused;
use crate::volume::Volume;
use anyhow::{Context, Result, ensure};
use futures::future::{join, join_all};
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use visits_tests::history::History;
use visits_tests::mount::fill;
use visits_tests::{Connection, Host, get};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root: mounts a file system"]
async fn a_volume_that_fills_under_load_loses_no_acknowledged_visit() -> Result<()> {
    for file_system in FileSystem::ALL {
        let filled = fills(file_system).await;
        filled.with_context(|| file_system.to_string())?;
    }
    Ok(())
}

async fn fills(file_system: FileSystem) -> Result<()> {
    let mut volume = Volume::new(file_system, Cache::Writeback, Failure::Write).await?;
    let host = Host::of(volume.app()).start().await?;
    let history = History::new();
    let full = AtomicBool::new(false);
    let filled = async {
        history.answers(20).await?;
        let directory = volume.path();
        let filled = tokio::task::spawn_blocking(move || fill(&directory)).await;
        full.store(true, Ordering::SeqCst);
        filled?
    };
    let clients = (0..8).map(|_| visit_until(&host, &history, &full));
    let (filled, clients) = join(filled, join_all(clients)).await;
    filled?;
    clients.into_iter().collect::<Result<()>>()?;
    let reply = get(host.address(), "/healthz").await?;
    let refused = history.refused();
    println!(
        "{file_system}: {} answered, {refused} refused; full: {} {}",
        history.answered(),
        reply.status,
        reply.text().trim_end()
    );
    fs::remove_file(volume.path().join("filler"))?;
    until_refused(&host, &history, || volume.disk().cut_power()).await?;
    host.kill9().await?;
    volume.restore().await?;
    power::check(&volume, &history).await
}

/// Visits until the volume is full. It may be refused for that reason alone.
async fn visit_until(host: &Host, history: &History, full: &AtomicBool) -> Result<()> {
    let mut connection = Connection::open(host.address()).await?;
    let client = history.client();
    while !full.load(Ordering::SeqCst) {
        if let Err(error) = client.visit(&mut connection).await {
            let line = format!("{error:#}");
            ensure!(line.contains("no space left"), "{line}");
        }
    }
    Ok(())
}
