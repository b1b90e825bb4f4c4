//! A directory that two programs sync at the same time, on a disk that takes its time.
//!
//! Without a journal, the kernel's sync of a directory may return while a change is still being written, if another sync of it
//! is under way. The host prevents that by a lock.

use crate::disk::{Cache, Failure};
use crate::file_system::FileSystem;
use crate::volume::Volume;
use anyhow::{Context, Result, ensure};
use rustix::fs::{FlockOperation, flock, fsync};
use std::fs::{self, File};
use std::path::Path;
use std::time::Instant;
use tokio::task::spawn_blocking;
use visits_tests::history::History;
use visits_tests::{Connection, DEADLINE, Host};

/// Runs the host with syncs that begin late, as on a busy machine, so that another program's begins first.
const LATE_SYNCS: &str = "exec strace -D -f -qq --seccomp-bpf -o /dev/null -e trace=fsync -e signal=none \
                          -e inject=fsync:delay_enter=20000 \"$0\" \"$@\"";

const VISITS: u64 = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root: mounts a file system"]
async fn an_acknowledged_visit_is_durable_although_another_host_syncs_at_the_same_time()
-> Result<()> {
    let file_system = FileSystem::Ext4WithoutJournal;
    let volume = Volume::new(file_system, Cache::SlowTickets, Failure::Write).await?;
    let host = Host::of(volume.app()).shell(LATE_SYNCS).start().await?;
    let mut connection = Connection::open(host.address()).await?;
    let history = History::new();
    let client = history.client();
    client.visit(&mut connection).await?;
    for number in 2..=VISITS {
        let private = volume.path().join(".visits");
        let other = spawn_blocking(move || sync_after_claim(&private, number));
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

/// Waits until a number is claimed, and then syncs the directory as another host does.
fn sync_after_claim(private: &Path, number: u64) -> Result<()> {
    let start = Instant::now();
    while highest(&names(private)) < number {
        ensure!(start.elapsed() < DEADLINE, "{number} is not claimed");
        std::thread::yield_now();
    }
    let directory = File::open(private)?;
    flock(&directory, FlockOperation::LockExclusive)?;
    Ok(fsync(&directory)?)
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
