//! Components that trap, compute, recurse, allocate, print or wait for ever: the next visitor is served within a second.

use anyhow::{Result, ensure};
use std::time::{Duration, Instant};
use visits_tests::{App, DEADLINE, Host, artifacts, get, wait};

/// How long the next visitor may wait after the misdeed was answered.
pub(crate) const NEXT: Duration = Duration::from_secs(1);

/// The misdeeds, with the status of their response.
const MISDEEDS: [(&str, u16); 6] = [
    ("/trap", 500),
    ("/loop", 504),
    ("/recurse", 500),
    ("/allocate", 500),
    ("/flood", 504),
    ("/hang", 504),
];

/// Waits until a visitor is served. Requests may fail with a dying instance in the meantime.
pub(crate) async fn served(host: &Host) -> Result<()> {
    wait::until("the next visitor is served", DEADLINE, async || {
        let reply = get(host.address(), "/hello").await;
        Ok(reply.is_ok_and(|it| it.status == 200).then_some(()))
    })
    .await
}

#[tokio::test]
async fn after_each_misdeed_the_next_visitor_is_served_within_a_second() -> Result<()> {
    for (path, status) in MISDEEDS {
        let app = App::new(&artifacts::probe_wasm()?)?;
        let host = Host::of(&app)
            .args(["--request-timeout=500ms", "--memory-limit=64MiB"])
            .start()
            .await?;
        // Twice, because the second instance must not suffer from the first one's end.
        for _ in 0..2 {
            let reply = get(host.address(), path).await?;
            ensure!(
                reply.status == status,
                host.failed(&format!("{path}: {reply:?}"))
            );
            let answered = Instant::now();
            served(&host)
                .await
                .map_err(|error| host.failed(&format!("{path}: {error:#}")))?;
            let took = answered.elapsed();
            println!("{path}: the next visitor was served after {took:?}");
            ensure!(
                took < NEXT,
                host.failed(&format!("{path}: served after {took:?}"))
            );
        }
    }
    Ok(())
}
