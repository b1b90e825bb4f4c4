//! Syncs of files and directories, by WASI 0.3 and by 0.2. Those of a directory on ext4 wait for each other: `directory_sync` in the
//! host says why.

use super::Mounted;
use crate::common::text;
use anyhow::{Result, ensure};
use futures::future::join;
use rustix::fs::{
    CWD, FileType, FlockOperation, Mode, flock, fstat, major, makedev, minor, mknodat,
};
use std::fs::File;
use visits_tests::{App, DEADLINE, Ext4, Host, artifacts, wait};

/// The paths of the probe that sync.
const PATHS: [&str; 2] = ["/sync", "/sync-with-std"];

const SYNCED: &str = "(Ok(()), Ok(())) (Ok(()), Ok(()))\n";

#[tokio::test]
#[ignore = "needs root"]
async fn a_directory_on_ext4_is_synced_by_one_program_at_a_time() -> Result<()> {
    let app = App::new(&artifacts::probe_wasm()?)?;
    let _mounted = Ext4::on(&app.volume())?;
    let host = Host::of(&app).start().await?;
    text(&host, "/write?name=new").await?;
    for path in PATHS {
        let path = format!("{path}?name=new");
        let directory = File::open(app.volume())?;
        flock(&directory, FlockOperation::LockExclusive)?;
        let other = async {
            wait_for_a_waiter(&directory).await?;
            Ok(flock(&directory, FlockOperation::Unlock)?)
        };
        let (synced, other): (_, Result<()>) = join(text(&host, &path), other).await;
        other?;
        ensure!(synced? == SYNCED, "{path}");
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_directory_elsewhere_is_synced_while_others_hold_its_lock() -> Result<()> {
    let mounted = Mounted::new()?;
    let host = Host::of(&mounted.app).start().await?;
    text(&host, "/write?name=new").await?;
    let directory = File::open(&mounted.volume)?;
    flock(&directory, FlockOperation::LockExclusive)?;
    for path in PATHS {
        let synced = text(&host, &format!("{path}?name=new")).await?;
        ensure!(synced == SYNCED, "{path}: {synced}");
    }
    Ok(())
}

/// A device that cannot be synced stands for a file whose sync fails.
#[tokio::test]
#[ignore = "needs root"]
async fn a_component_learns_that_a_sync_of_a_file_has_failed() -> Result<()> {
    let app = App::new(&artifacts::probe_wasm()?)?;
    let device = app.volume().join("null");
    mknodat(
        CWD,
        &device,
        FileType::CharacterDevice,
        Mode::RUSR,
        makedev(1, 3),
    )?;
    let host = Host::of(&app).start().await?;
    for path in PATHS {
        let synced = text(&host, &format!("{path}?name=null")).await?;
        let files = synced.split_once(')').map_or("", |(files, _)| files);
        ensure!(!files.contains("Ok"), "{path}: {synced}");
    }
    Ok(())
}

/// Waits until somebody waits for a lock of this directory.
async fn wait_for_a_waiter(directory: &File) -> Result<()> {
    let stat = fstat(directory)?;
    let (major, minor, inode) = (major(stat.st_dev), minor(stat.st_dev), stat.st_ino);
    let file = format!(" {major:02x}:{minor:02x}:{inode} ");
    wait::until("a sync waits for the lock", DEADLINE, async || {
        let locks = std::fs::read_to_string("/proc/locks")?;
        let mut lines = locks.lines();
        let waits = |line: &str| line.contains("-> FLOCK") && line.contains(&file);
        Ok(lines.any(waits).then_some(()))
    })
    .await
}
