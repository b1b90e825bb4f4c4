//! The host's own memory after a load.

use crate::common;
use anyhow::{Context, Result, ensure};
use visits_tests::load;
use visits_tests::{DEADLINE, Host, Signal};

const CLIENTS: u64 = 32;
const VISITS: u64 = 200;

/// The most memory of its own that a host keeps after the load, in bytes. 4 MiB were measured, 13 MiB with huge pages.
const KEPT: u64 = 9 << 20;

/// Returns the memory in bytes that the process shares with no file.
fn anonymous(host: &Host) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.pid()))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
    let kib: u64 = kib.context("the status has no RssAnon")?.parse()?;
    Ok(kib << 10)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_keeps_at_most_nine_mebibytes_after_a_load() -> Result<()> {
    // The first host may compile the component, which takes more memory.
    let (_app, first) = common::counter(&[]).await?;
    first.signal(Signal::TERM)?;
    first.wait_exit(DEADLINE).await?;
    let (_app, host) = common::counter(&[]).await?;
    load::visits(host.address(), CLIENTS, VISITS).await?;
    let kept = anonymous(&host)?;
    ensure!(
        kept <= KEPT,
        host.failed(&format!("{kept} bytes are kept after a load"))
    );
    Ok(())
}
