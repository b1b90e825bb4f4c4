//! `kill -9` of hosts at random moments under load. `cargo xtask kills` makes more of them.
//!
//! A kill keeps the page cache, so this never sees a missing sync. The simulated volume of `visits::protocol` does.

use crate::counter;
use anyhow::{Context, Result, ensure};
use visits_tests::history::History;
use visits_tests::kills::Kills;
use visits_tests::load::visits_bin;
use visits_tests::{App, Host, get};

/// How many kills each test makes, unless the environment states another number.
const KILLS: u32 = 20;

/// The clients of each host.
const CLIENTS: usize = 16;

/// Starts a host again and again, and kills it under load, until all kills are made. Calls `then` after each.
async fn kill_all(
    app: &App,
    kills: &Kills,
    history: &History,
    then: impl AsyncFn() -> Result<()>,
) -> Result<()> {
    while let Some(kill) = kills.next() {
        let host = Host::of(app).start().await?;
        let killed = async {
            let moment = kill.moment(history).await;
            moment.map_err(|error| host.failed(&format!("{kill}: {error:#}")))?;
            host.kill9().await
        };
        let load = async {
            history.visit_until_the_end(host.address(), CLIENTS).await;
            Ok(())
        };
        tokio::try_join!(killed, load)?;
        let published = history.check_published(&app.volume());
        published.with_context(|| format!("after {kill}"))?;
        then().await.with_context(|| format!("after {kill}"))?;
    }
    Ok(())
}

/// Checks the count that another host finds, and that `visits.bin` is mended.
async fn check_count(app: &App, history: &History) -> Result<()> {
    let host = Host::of(app).start().await?;
    let reply = get(host.address(), "/visits").await?;
    let count = reply.text().trim_end().parse()?;
    history.check_count(count)?;
    ensure!(
        visits_bin(&app.volume())? == count,
        "visits.bin is not mended"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_killed_under_load_loses_no_acknowledged_visit_and_stays_linearizable() -> Result<()>
{
    let (app, history) = (counter()?, History::new());
    let kills = Kills::plan(KILLS)?;
    kill_all(&app, &kills, &history, async || {
        check_count(&app, &history).await
    })
    .await?;
    history.check_none_refused()?;
    history.check_linearizable().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hosts_on_one_volume_killed_in_turn_lose_nothing_and_stay_linearizable() -> Result<()> {
    let (app, history) = (counter()?, History::new());
    let kills = Kills::plan(KILLS)?;
    let host = || kill_all(&app, &kills, &history, async || Ok(()));
    tokio::try_join!(host(), host())?;
    history.check_none_refused()?;
    check_count(&app, &history).await?;
    history.check_linearizable().await
}
