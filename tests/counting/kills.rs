//! `kill -9` at random moments under load.
//!
//! A kill keeps the page cache, so this never sees a missing sync. The simulated volume of `visits::protocol` does.

use crate::counter;
use anyhow::{Context, Result, ensure};
use std::time::{Duration, Instant};
use visits_tests::history::History;
use visits_tests::load::visits_bin;
use visits_tests::{DEADLINE, Host, get};

const KILLS: u32 = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_under_load_lose_no_acknowledged_visit_and_double_none() -> Result<()> {
    let app = counter()?;
    let history = History::new();
    for kill in 0..KILLS {
        let host = Host::of(&app).start().await?;
        // A random time after the first answers, so that a batch is under way.
        let answered = history.numbers().len();
        let patience = Duration::from_micros(u64::from(rand()) % 40_000);
        let killed = async {
            let deadline = Instant::now() + DEADLINE;
            let mut since = None;
            loop {
                tokio::task::yield_now().await;
                if since.is_none() && history.numbers().len() > answered {
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
        let (killed, ()) = tokio::join!(killed, history.visit_until_the_end(host.address(), 16));
        killed?;
        let host = Host::of(&app).start().await?;
        let count: u64 = get(host.address(), "/visits")
            .await?
            .text()
            .trim_end()
            .parse()?;
        history
            .check_count(count)
            .with_context(|| format!("after kill {kill}"))?;
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
