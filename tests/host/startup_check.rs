//! `--startup-check`: a request of the host's own, sent only if the option is given.

use anyhow::{Result, ensure};
use visits_tests::wait::until;
use visits_tests::{App, DEADLINE, Host, Signal, artifacts, get};

const FAILED: &str = "startup check failed";

/// A counter that cannot count: `/healthz` answers 503.
fn unhealthy() -> Result<App> {
    let app = App::new(&artifacts::visits_wasm()?)?;
    std::fs::create_dir(app.volume().join("visits.bin"))?;
    Ok(app)
}

/// Stops the host, which waits for a check, and fails if its log has a failed one.
async fn assert_no_failed_check(host: &Host) -> Result<()> {
    host.signal(Signal::TERM)?;
    ensure!(host.wait_exit(DEADLINE).await?.code == Some(0));
    let failed = host
        .stderr()
        .lines()
        .iter()
        .any(|line| line.contains(FAILED));
    ensure!(!failed, host.failed("a check failed"));
    Ok(())
}

#[tokio::test]
async fn the_check_requests_its_path() -> Result<()> {
    let app = App::new(&artifacts::probe_wasm()?)?;
    let host = Host::of(&app)
        .arg("--startup-check=/write?name=checked")
        .start()
        .await?;
    let written = app.volume().join("checked");
    until("the check's file", DEADLINE, async || {
        Ok(written.exists().then_some(()))
    })
    .await?;
    assert_no_failed_check(&host).await
}

#[tokio::test]
async fn a_failed_check_is_logged_and_the_host_serves() -> Result<()> {
    let app = unhealthy()?;
    let host = Host::of(&app)
        .arg("--startup-check=/healthz")
        .start()
        .await?;
    let log = host.wait_log(FAILED).await?;
    let fields = &log["fields"];
    ensure!(
        fields["path"] == "/healthz" && fields["status"] == 503,
        "{log}"
    );
    let error = fields["error"].as_str();
    ensure!(
        error.is_some_and(|error| error.contains("visits.bin")),
        "{log}"
    );
    ensure!(get(host.address(), "/livez").await?.status == 200);
    Ok(())
}

#[tokio::test]
async fn the_last_of_two_paths_counts() -> Result<()> {
    let app = unhealthy()?;
    let host = Host::of(&app)
        .args(["--startup-check=/healthz", "--startup-check=/livez"])
        .start()
        .await?;
    assert_no_failed_check(&host).await
}

#[tokio::test]
async fn a_path_that_no_component_serves_is_refused_before_anything_starts() -> Result<()> {
    let app = unhealthy()?;
    let manifest = std::fs::read_to_string(app.manifest())?;
    std::fs::write(app.manifest(), manifest.replace("/...", "/visits"))?;
    for path in ["/healthz", "/.well-known/spin/health"] {
        let host = Host::of(&app)
            .arg(format!("--startup-check={path}"))
            .spawn()?;
        ensure!(host.wait_exit(DEADLINE).await?.code == Some(1));
        let lines = host.stderr().lines();
        let error = format!("error: no component is at the startup check's path \"{path}\"");
        ensure!(
            lines.iter().any(|line| line.starts_with(&error)),
            host.failed("it does not name the path")
        );
    }
    Ok(())
}

#[tokio::test]
async fn without_the_option_no_request_reaches_a_component_at_the_start() -> Result<()> {
    let app = unhealthy()?;
    let host = Host::of(&app).start().await?;
    ensure!(get(host.address(), "/healthz").await?.status == 503);
    assert_no_failed_check(&host).await
}
