//! Compiled code: of hosts that start together, one compiles.

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use tempfile::TempDir;
use visits_tests::{App, Host, artifacts};

const HOSTS: usize = 6;

#[tokio::test]
async fn of_hosts_that_start_together_one_compiles() -> Result<()> {
    let app = App::new(&artifacts::hello_wasm()?)?;
    let cache = TempDir::new()?;
    let start = || {
        let host = Host::of(&app).without_shared_cache();
        host.arg("--cache-dir").arg(cache.path()).start()
    };
    let hosts = try_join_all((0..HOSTS).map(|_| start())).await?;
    let mut compiled = 0;
    for host in &hosts {
        let log = host.wait_log("component ready").await?;
        compiled += usize::from(log["fields"]["cached"] == false);
    }
    ensure!(compiled == 1, "{compiled} of {HOSTS} hosts compiled");
    Ok(())
}
