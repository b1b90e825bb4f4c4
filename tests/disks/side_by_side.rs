//! A directory that two programs sync at the same time, on a disk that takes its time.
//!
//! Without a journal, the kernel's sync of a directory may return while a change is still being written, if another sync of it
//! is under way. The host prevents that by a lock. If the kernel fails to write a change in the background, it reports that once
//! to each opening of the directory, so the host syncs the opening of the component.

use crate::disk::{Cache, Failure};
use crate::file_system::FileSystem;
use crate::volume::Volume;
use crate::{options, power};
use anyhow::{Context, Result, ensure};
use futures::future::join;
use rustix::fs::{FlockOperation, flock, fsync, syncfs};
use std::fs::{self, File};
use std::path::Path;
use std::time::Instant;
use tokio::task::spawn_blocking;
use visits_tests::history::History;
use visits_tests::{Connection, DEADLINE, Host};

/// Delays the host after each rename, as a busy machine may. So another program's sync of a claim begins first.
const LATE_SYNCS: &str = "exec strace -D -f -qq --seccomp-bpf -o /dev/null -e trace=renameat -e signal=none \
                          -e inject=renameat:delay_exit=20000 \"$0\" \"$@\"";

const FILE_SYSTEM: FileSystem = FileSystem::Ext4WithoutJournal;

/// How many visits are counted beside another sync, for each power cut of [`options::cuts`].
const VISITS: u64 = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root: mounts a file system"]
async fn an_acknowledged_visit_is_durable_although_another_host_syncs_at_the_same_time()
-> Result<()> {
    let volume = Volume::new(FILE_SYSTEM, Cache::SlowTickets, Failure::Write).await?;
    let host = Host::of(volume.app()).shell(LATE_SYNCS).start().await?;
    let mut connection = Connection::open(host.address()).await?;
    let history = History::new();
    let client = history.client();
    client.visit(&mut connection).await?;
    for number in 2..=VISITS * options::cuts()? + 1 {
        let private = volume.path().join(".visits");
        let other = spawn_blocking(move || {
            let directory = wait_for_claim(&private, number)?;
            flock(&directory, FlockOperation::LockExclusive)?;
            anyhow::Ok(fsync(&directory)?)
        });
        let counted = client.visit(&mut connection).await?;
        let durable = highest_ticket(&volume.image())?;
        ensure!(
            counted == number && durable >= number,
            "{counted} was acknowledged, and {durable} is durable"
        );
        other.await??;
    }
    host.kill9().await
}

/// The kernel reports the failed write to the sync that made it, and the counter's own sync would succeed afterwards. But the file
/// system has made itself read-only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root: mounts a file system"]
async fn a_visit_beside_a_failed_sync_of_another_program_is_refused() -> Result<()> {
    for _ in 0..options::cuts()? {
        let volume = Volume::new(FILE_SYSTEM, Cache::Writeback, Failure::Write).await?;
        volume.stop_at_errors()?;
        fail_beside_a_visit(volume, |_| {}).await?;
    }
    Ok(())
}

/// A write in the background has failed. The kernel reports that once to each opening of the directory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root: mounts a file system"]
async fn a_visit_whose_failed_write_another_program_has_seen_is_refused() -> Result<()> {
    for _ in 0..options::cuts()? {
        let volume = Volume::new(FILE_SYSTEM, Cache::Writeback, Failure::Write).await?;
        fail_beside_a_visit(volume, |directory| {
            // It starts the writing as the kernel does after some time.
            let _ = syncfs(directory);
        })
        .await?;
    }
    Ok(())
}

/// Lets the disk fail while a visit is claimed and not synced, so that `write` and then another program's sync fail.
async fn fail_beside_a_visit(mut volume: Volume, write: impl FnOnce(&File)) -> Result<()> {
    let host = Host::of(volume.app()).shell(LATE_SYNCS).start().await?;
    let mut connection = Connection::open(host.address()).await?;
    let history = History::new();
    let client = history.client();
    client.visit(&mut connection).await?;
    let private = volume.path().join(".visits");
    let claimed = spawn_blocking(move || wait_for_claim(&private, 2));
    let other = async {
        let directory = claimed.await??;
        volume.disk().fail()?;
        write(&directory);
        ensure!(fsync(&directory).is_err(), "the disk does not fail");
        volume.disk().work()
    };
    let (refused, other) = join(client.visit(&mut connection), other).await;
    other?;
    ensure!(refused.is_err(), "{refused:?} was acknowledged");
    host.kill9().await?;
    volume.restore().await?;
    power::check(&volume, &history).await
}

/// Waits until a number is claimed, and returns the directory.
fn wait_for_claim(private: &Path, number: u64) -> Result<File> {
    let start = Instant::now();
    while highest(&names(private)) < number {
        ensure!(start.elapsed() < DEADLINE, "{number} is not claimed");
        std::thread::yield_now();
    }
    Ok(File::open(private)?)
}

/// Returns the names in a directory, which may be incomplete because they change.
fn names(directory: &Path) -> String {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.collect::<Vec<_>>().join("\n")
}

/// Returns the highest number of a ticket that is anywhere on the disk.
fn highest_ticket(image: &Path) -> Result<u64> {
    let content = fs::read(image).with_context(|| format!("cannot read {}", image.display()))?;
    Ok(highest(&String::from_utf8_lossy(&content)))
}

/// Returns the highest number of a ticket that a text names, 0 if it names none.
fn highest(text: &str) -> u64 {
    let numbers = text.split("ticket.").skip(1).filter_map(|rest| {
        let (number, _) = rest.split_once('-')?;
        number.parse().ok()
    });
    numbers.max().unwrap_or(0)
}
