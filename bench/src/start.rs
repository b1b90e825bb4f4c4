//! The time from the start of a host to its first response, with the component's code in its cache.

use crate::single::Single;
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};
use visits_tests::{App, Connection, DEADLINE, Host, Signal};

/// The number of measured starts.
pub(crate) const STARTS: usize = 20;

/// How long all of them take, on two cores.
pub(crate) const ESTIMATE: Duration = Duration::from_secs(5);

/// Starts the counter's host again and again on one volume. Each start ends with a visit.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn measure() -> Result<Option<Single>> {
    let app = App::counter()?;
    let mut times = Vec::new();
    // The first start may compile the component, and creates the count.
    for _ in 0..=STARTS {
        let before = Instant::now();
        let host = Host::of(&app).start().await?;
        let mut connection = Connection::open(host.address()).await?;
        let reply = connection.get("/").await?;
        times.push(before.elapsed().as_secs_f64() * 1e3);
        ensure!(reply.status == 200, host.failed("the first visit failed"));
        drop(connection);
        host.signal(Signal::TERM)?;
        host.wait_exit(DEADLINE).await?;
    }
    let times = times.split_off(1);
    let what = format!("start of a host to its first 200, warm cache (median of {STARTS})");
    Ok(Single::of("start", what, "ms", times))
}
