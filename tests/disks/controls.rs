//! Runs in which acknowledged visits are lost, to show that the checks notice.

use crate::disk::Cache;
use crate::file_system::FileSystem;
use crate::power::Cuts;
use anyhow::{Context, Result, ensure};
use visits_tests::environment;

/// How many cuts a control gets to fail.
const CUTS: u64 = 5;

async fn loses_visits(cuts: Cuts) -> Result<()> {
    let error = cuts.run(CUTS).await.err();
    let error = error.context("no check fails although visits are lost")?;
    let text = format!("{error:#}");
    ensure!(text.contains("acknowledged up to"), "{text}");
    let judged = environment::LINEARIZABLE.get().is_some();
    ensure!(!judged || text.contains("not linearizable"), "{text}");
    println!("as expected: {text}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root: mounts a file system"]
async fn a_disk_that_ignores_flushes_loses_visits() -> Result<()> {
    loses_visits(Cuts {
        cache: Cache::Unsafe,
        ..Cuts::on(FileSystem::Ext4)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root: mounts a file system"]
async fn a_counter_that_leaves_out_the_sync_loses_visits() -> Result<()> {
    for file_system in FileSystem::ALL {
        loses_visits(Cuts {
            without_sync: true,
            ..Cuts::on(file_system)
        })
        .await?;
    }
    Ok(())
}
