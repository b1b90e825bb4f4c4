//! A component's directories, environment and network, and what the host logs and caches for it.

use crate::common::{has_logged, text};
use anyhow::{Result, ensure};
use std::os::unix::fs::MetadataExt;
use visits_tests::{App, DEADLINE, Host, Signal, artifacts, get};

#[tokio::test]
async fn the_environment_has_the_variables_of_manifest_and_flags_and_no_others() -> Result<()> {
    let lines = "environment = { COLOUR = \"blue\", SHAPE = \"round\" }";
    let app = App::with_manifest_lines(&artifacts::probe_wasm()?, lines)?;
    let flags = ["--env", "COLOUR=red=ish", "--env", "POD_NAME=visits-0"];
    let host = Host::of(&app)
        .args(flags)
        .env("SECRET", "of the host")
        .start()
        .await?;
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname")?;
    let expected = format!(
        "COLOUR=red=ish\nHOSTNAME={}\nPOD_NAME=visits-0\nSHAPE=round\n",
        name.trim()
    );
    let seen = text(&host, "/env").await?;
    ensure!(seen == expected, "{seen}");
    let host = Host::of(&app)
        .args(["--env", "HOSTNAME=given"])
        .start()
        .await?;
    ensure!(text(&host, "/env").await?.contains("HOSTNAME=given\n"));
    Ok(())
}

#[tokio::test]
async fn exactly_the_directories_of_files_are_preopened_and_writable() -> Result<()> {
    let app = App::new(&artifacts::probe_wasm()?)?;
    let host = Host::of(&app).start().await?;
    ensure!(text(&host, "/dirs").await? == "/app/persistent\n");
    ensure!(text(&host, "/write?name=new").await? == "written\n");
    ensure!(std::fs::read(app.volume().join("new"))? == b"written\n");
    let outside = text(&host, "/write?name=../outside").await?;
    ensure!(outside.contains("permitted"), "{outside}");
    ensure!(!app.directory().join("outside").exists());
    Ok(())
}

#[tokio::test]
async fn a_source_flag_replaces_a_directory_of_the_manifest() -> Result<()> {
    let app = App::new(&artifacts::probe_wasm()?)?;
    let other = tempfile::TempDir::new()?;
    let source = format!("persistent={}", other.path().display());
    let host = Host::of(&app).arg("--source").arg(source).start().await?;
    ensure!(text(&host, "/write?name=new").await? == "written\n");
    ensure!(other.path().join("new").exists() && !app.volume().join("new").exists());
    Ok(())
}

#[tokio::test]
async fn outbound_requests_are_refused_unless_the_manifest_names_their_host() -> Result<()> {
    let hello = App::new(&artifacts::hello_wasm()?)?;
    let other = Host::of(&hello).start().await?;
    let path = format!("/outbound?url={}/", other.url());

    let app = App::new(&artifacts::probe_wasm()?)?;
    let host = Host::of(&app).start().await?;
    let refused = text(&host, &path).await?;
    ensure!(refused.contains("HttpRequestDenied"), "{refused}");

    let lines = format!("allowed_outbound_hosts = [\"{}\"]", other.url());
    let app = App::with_manifest_lines(&artifacts::probe_wasm()?, &lines)?;
    let host = Host::of(&app).start().await?;
    let allowed = text(&host, &path).await?;
    ensure!(allowed == "200\n", "{allowed}");
    let refused = text(&host, &format!("/outbound?url={}/", host.url())).await?;
    ensure!(
        refused.contains("HttpRequestDenied"),
        "another port: {refused}"
    );
    Ok(())
}

#[tokio::test]
async fn the_components_output_passes_unchanged() -> Result<()> {
    let app = App::new(&artifacts::probe_wasm()?)?;
    let host = Host::of(&app).start().await?;
    get(host.address(), "/print").await?;
    host.signal(Signal::TERM)?;
    host.wait_exit(DEADLINE).await?;
    ensure!(
        host.stdout().lines() == ["the probe's stdout: {\"a\": 1}"],
        host.failed("stdout")
    );
    let stderr = host.stderr().lines();
    ensure!(
        stderr.contains(&"the probe's stderr: \u{1b}[1mbold".to_owned()),
        host.failed("stderr")
    );
    Ok(())
}

#[tokio::test]
async fn a_second_start_compiles_nothing() -> Result<()> {
    let app = App::new(&artifacts::hello_wasm()?)?;
    let cache = app.directory().join("cache");
    for (start, cached) in [(1, false), (2, true)] {
        let host = Host::of(&app)
            .without_shared_cache()
            .arg("--cache-dir")
            .arg(&cache)
            .start()
            .await?;
        let log = host.wait_log("component ready").await?;
        ensure!(log["fields"]["cached"] == cached, "start {start}: {log}");
        ensure!(text(&host, "/").await? == "hello\n");
    }
    ensure!(std::fs::metadata(&cache)?.mode() & 0o777 == 0o700);
    Ok(())
}

#[tokio::test]
async fn requests_are_logged_only_with_the_access_log() -> Result<()> {
    let app = App::new(&artifacts::probe_wasm()?)?;
    let host = Host::of(&app).arg("--access-log").start().await?;
    get(host.address(), "/hello?secret=1").await?;
    let log = host.wait_log("request").await?;
    let fields = &log["fields"];
    ensure!(
        log["level"] == "INFO" && fields["method"] == "GET" && fields["path"] == "/hello",
        "{log}"
    );
    ensure!(
        fields["status"] == 200 && fields["duration_ms"].is_f64(),
        "{log}"
    );
    ensure!(
        fields["peer"]
            .as_str()
            .is_some_and(|peer| peer.starts_with("127.0.0.1:")),
        "{log}"
    );

    let host = Host::of(&app).start().await?;
    get(host.address(), "/hello").await?;
    host.signal(Signal::TERM)?;
    host.wait_exit(DEADLINE).await?;
    ensure!(
        !has_logged(&host, "/hello"),
        host.failed("the host logs requests")
    );
    Ok(())
}

#[tokio::test]
async fn requests_outside_the_route_never_reach_the_component() -> Result<()> {
    let app = App::new(&artifacts::probe_wasm()?)?;
    let manifest = std::fs::read_to_string(app.manifest())?;
    std::fs::write(app.manifest(), manifest.replace("\"/...\"", "\"/hello\""))?;
    let host = Host::of(&app).start().await?;
    ensure!(text(&host, "/hello").await? == "hello\n");
    let reply = get(host.address(), "/env").await?;
    ensure!(
        reply.status == 404 && reply.text() == "no component is at this path\n",
        "{reply:?}"
    );
    Ok(())
}

#[tokio::test]
async fn the_component_sees_the_absolute_uri_of_a_request() -> Result<()> {
    let app = App::new(&artifacts::probe_wasm()?)?;
    let host = Host::of(&app).start().await?;
    ensure!(text(&host, "/uri?a=b").await? == format!("{}/uri?a=b\n", host.url()));
    Ok(())
}
