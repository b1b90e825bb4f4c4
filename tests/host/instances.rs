//! What becomes of requests when the instances of their component end or do not start.

use crate::common::text;
use anyhow::Result;
use visits_tests::{App, Host, artifacts, get};

/// A new instance opens the component's directories, which may be missing then.
#[tokio::test]
async fn requests_without_an_instance_are_refused_until_one_starts_again() -> Result<()> {
    let app = App::new(&artifacts::probe_wasm()?)?;
    let host = Host::of(&app).start().await?;
    let moved = app.directory().join("moved");
    std::fs::rename(app.volume(), &moved)?;
    assert_eq!(get(host.address(), "/trap").await?.status, 500);
    host.wait_log("no new instance of the component; the next request tries again")
        .await?;
    for _ in 0..2 {
        let refused = get(host.address(), "/dirs").await?;
        assert_eq!(refused.status, 503);
        assert_eq!(
            refused.text(),
            "the component does not start; see the log\n"
        );
    }
    std::fs::rename(&moved, app.volume())?;
    assert_eq!(text(&host, "/dirs").await?, "/app/persistent\n");
    Ok(())
}
