//! `kill -9` at random moments under load.
//!
//! A kill keeps the page cache, so this never sees a missing sync. The simulated volume of `visits::protocol` does.

use crate::counter;
use anyhow::{Result, ensure};
use std::collections::HashSet;
use std::time::{Duration, Instant};
use visits_tests::load::{Record, visits_bin};
use visits_tests::{DEADLINE, Host, get};

const KILLS: u32 = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_under_load_lose_no_acknowledged_visit_and_double_none() -> Result<()> {
    let app = counter()?;
    let record = Record::default();
    for kill in 0..KILLS {
        let host = Host::of(&app).start().await?;
        // A random time after the first answers, so that a batch is under way.
        let answered = record.numbers().len();
        let patience = Duration::from_micros(u64::from(rand()) % 40_000);
        let killed = async {
            let deadline = Instant::now() + DEADLINE;
            let mut since = None;
            loop {
                tokio::task::yield_now().await;
                if since.is_none() && record.numbers().len() > answered {
                    since = Some(Instant::now());
                }
                if since.is_some_and(|since| since.elapsed() > patience) {
                    return host.kill9().await;
                }
                ensure!(
                    Instant::now() < deadline,
                    host.failed("no visit was answered")
                );
            }
        };
        let (killed, ()) = tokio::join!(killed, record.visit_until_the_end(host.address(), 16));
        killed?;
        let numbers = record.numbers();
        let highest = numbers.iter().copied().max().unwrap_or(0);
        let distinct: HashSet<_> = numbers.iter().collect();
        ensure!(
            distinct.len() == numbers.len(),
            "after kill {kill}: a number was given twice"
        );
        let host = Host::of(&app).start().await?;
        let count: u64 = get(host.address(), "/visits")
            .await?
            .text()
            .trim_end()
            .parse()?;
        let (acknowledged, sent) = (numbers.len() as u64, record.sent());
        ensure!(
            acknowledged <= count && highest <= count && count <= sent,
            "after kill {kill}: {acknowledged} acknowledged up to {highest}, count {count}, {sent} sent"
        );
        ensure!(
            visits_bin(&app.volume())? == count,
            "visits.bin is not mended"
        );
    }
    Ok(())
}

/// Returns a number that is random enough for the moment of a kill.
fn rand() -> u32 {
    let nanos = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |d| d.subsec_nanos());
    (nanos / 7).wrapping_mul(2_654_435_761) >> 8
}
