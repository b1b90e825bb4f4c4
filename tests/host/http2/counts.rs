//! Visits over HTTP/2 while the host is killed.

use super::counter;
use anyhow::{Result, ensure};
use futures::future::join_all;
use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use visits_tests::load::visits_bin;
use visits_tests::{DEADLINE, Host, Http2, wait};

const KILLS: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_under_load_lose_and_repeat_no_acknowledged_visit() -> Result<()> {
    let (app, mut host) = counter(&[]).await?;
    let numbers = Mutex::new(Vec::new());
    let sent = AtomicU64::new(0);
    let answered = || numbers.lock().expect("no holder panics").len();
    for _ in 0..KILLS {
        let before = answered();
        let connection = Http2::open(host.address()).await?;
        let visitor = || async {
            loop {
                sent.fetch_add(1, Relaxed);
                match connection.visit().await {
                    Ok(number) => numbers.lock().expect("no holder panics").push(number),
                    Err(_) => return,
                }
            }
        };
        let kill = async {
            wait::until("a hundred visits", DEADLINE, async || {
                Ok((answered() >= before + 100).then_some(()))
            })
            .await?;
            host.kill9().await
        };
        let (killed, _) = tokio::join!(kill, join_all((0..50).map(|_| visitor())));
        killed?;
        host = Host::of(&app).start().await?;
        let count = Http2::open(host.address()).await?.get("/visits").await?;
        let count: u64 = count.text().trim_end().parse()?;
        let (acknowledged, sent) = (answered() as u64, sent.load(Relaxed));
        ensure!(
            acknowledged <= count && count <= sent,
            "{acknowledged} acknowledged, count {count}, {sent} sent"
        );
        ensure!(visits_bin(&app.volume())? == count);
    }
    let numbers = numbers.into_inner().expect("no holder panics");
    let distinct: HashSet<_> = numbers.iter().collect();
    ensure!(
        distinct.len() == numbers.len(),
        "two visits have the same number"
    );
    Ok(())
}
