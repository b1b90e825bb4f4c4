//! Applications of several components, Spin's routes, and responses without a component.

use crate::common::text;
use anyhow::{Result, ensure};
use std::path::Path;
use visits_tests::client::empty;
use visits_tests::{App, Connection, DEADLINE, Host, Raw, Signal, artifacts, get};

/// Returns an application with these tables in its manifest. `HELLO` and `PROBE` are replaced by the components' paths.
pub(crate) fn app(tables: &str) -> Result<App> {
    let app = App::new(&artifacts::probe_wasm()?)?;
    let quoted = |path: &Path| format!("{path:?}");
    let text = format!("spin_manifest_version = 2\n[application]\nname = \"app\"\n{tables}")
        .replace("HELLO", &quoted(&artifacts::hello_wasm()?))
        .replace("PROBE", &quoted(&artifacts::probe_wasm()?));
    std::fs::write(app.manifest(), text)?;
    Ok(app)
}

async fn status(host: &Host, path: &str) -> Result<u16> {
    Ok(get(host.address(), path).await?.status.as_u16())
}

const TWO: &str = r#"
version = "1.2.3"
[[trigger.http]]
route = "/..."
component = "all"
[[trigger.http]]
route = "/greetings/:name"
component = "hello"
[[trigger.http]]
route = { private = true }
component = "back"
[component.all]
source = PROBE
environment = { ONLY = "all" }
[component.hello]
source = HELLO
[component.back]
source = "missing.wasm"
"#;

#[tokio::test]
async fn each_route_reaches_its_component_and_a_private_one_is_not_loaded() -> Result<()> {
    let host = Host::of(&app(TWO)?).start().await?;
    ensure!(text(&host, "/greetings/ann").await? == "hello\n");
    ensure!(text(&host, "/env").await?.contains("ONLY=all\n"));
    ensure!(
        status(&host, "/greetings/ann/more").await? == 404,
        "the probe has no such path"
    );
    let ready = |line: &&String| line.contains("component ready");
    let lines = host.stderr().lines();
    let ready = lines.iter().filter(ready).count();
    ensure!(ready == 2, host.failed("not one line per component"));
    host.signal(Signal::TERM)?;
    let exit = host.wait_exit(DEADLINE).await?;
    ensure!(exit.code == Some(0), host.failed("the exit code is not 0"));
    Ok(())
}

#[tokio::test]
async fn a_component_that_computes_stops_neither_the_others_nor_signals() -> Result<()> {
    let app = app(TWO)?;
    let host = Host::of(&app).arg("--request-timeout=60s").start().await?;
    let mut computing = Raw::open(host.address()).await?;
    computing
        .write("GET /loop HTTP/1.1\r\nhost: a\r\n\r\n")
        .await?;
    let others = async {
        for _ in 0..20 {
            ensure!(text(&host, "/greetings/ann").await? == "hello\n");
        }
        host.signal(Signal::TERM)?;
        host.wait_log("draining").await?;
        host.signal(Signal::TERM)?;
        host.wait_exit(DEADLINE).await
    };
    // Well below the time limit, after which the component no longer computes.
    let exit = tokio::time::timeout(DEADLINE, others).await;
    let exit = exit.map_err(|_| host.failed("the component that computes stops the host"))??;
    ensure!(exit.code == Some(128 + 15), host.failed("the exit code"));
    Ok(())
}

#[tokio::test]
async fn a_trap_of_one_component_does_not_affect_the_others() -> Result<()> {
    let host = Host::of(&app(TWO)?).start().await?;
    let mut other = Connection::open(host.address()).await?;
    ensure!(other.get("/greetings/ann").await?.text() == "hello\n");
    ensure!(status(&host, "/trap").await? == 500);
    ensure!(other.get("/greetings/ann").await?.text() == "hello\n");
    ensure!(text(&host, "/hello").await? == "hello\n");
    host.wait_log("the component was stopped").await?;
    let logged = host.stderr().lines().join("\n");
    let stopped = logged.matches("the component was stopped").count();
    ensure!(
        stopped == 1,
        host.failed("more than one instance was stopped")
    );
    Ok(())
}

#[tokio::test]
async fn no_host_header_makes_a_private_component_reachable() -> Result<()> {
    let host = Host::of(&app(TWO)?).start().await?;
    for target in [
        "GET / HTTP/1.1\r\nHost: back.spin.internal",
        "GET /hello HTTP/1.1\r\nHost: BACK.Spin.Internal:80",
        "GET http://back.spin.internal/hello HTTP/1.1\r\nHost: back.spin.internal",
        "GET http://hello.spin.internal/greetings/x HTTP/1.1\r\nHost: a.org",
    ] {
        let mut raw = Raw::open(host.address()).await?;
        raw.write(format!("{target}\r\nConnection: close\r\n\r\n"))
            .await?;
        let reply = raw.read_to_end(DEADLINE).await?;
        ensure!(reply.starts_with("HTTP/1.1 404 "), "{target}: {reply}");
        ensure!(
            reply.ends_with("no component is at this path\n"),
            "{target}: {reply}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn the_host_serves_static_responses_and_spins_own_paths() -> Result<()> {
    let response = r#"
[[trigger.http]]
route = "/old"
static_response = { status_code = 301, headers = { Location = "/hello" } }
[[trigger.http]]
route = "/fixed/..."
static_response = { body = "fixed" }
"#;
    let host = Host::of(&app(&format!("{TWO}{response}"))?).start().await?;
    let reply = get(host.address(), "/old").await?;
    ensure!(reply.status == 301 && reply.header("location") == "/hello");
    let reply = get(host.address(), "/fixed/a/b").await?;
    ensure!(reply.status == 200 && reply.text() == "fixed", "{reply:?}");
    let mut connection = Connection::open(host.address()).await?;
    let head = http::Request::head("/fixed").body(empty())?;
    let reply = connection.call(head).await?;
    ensure!(reply.header("content-length") == "5" && reply.body.is_empty());
    ensure!(text(&host, "/.well-known/spin/health").await? == "OK");
    let info: serde_json::Value =
        serde_json::from_str(&text(&host, "/.well-known/spin/info").await?)?;
    ensure!(
        info == serde_json::json!({ "name": "app", "version": "1.2.3" }),
        "{info}"
    );
    ensure!(status(&host, "/.well-known/spin/other").await? == 404);
    ensure!(
        status(&host, "/.well-known/spin").await? == 404,
        "the probe has no such path"
    );
    Ok(())
}

#[tokio::test]
async fn an_application_may_have_no_component() -> Result<()> {
    let only = "[[trigger.http]]\nroute = \"/\"\nstatic_response = { body = \"only\" }\n";
    let host = Host::of(&app(only)?).start().await?;
    ensure!(text(&host, "/").await? == "only" && status(&host, "/a").await? == 404);
    host.signal(Signal::TERM)?;
    ensure!(host.wait_exit(DEADLINE).await?.code == Some(0));
    Ok(())
}

#[tokio::test]
async fn a_directory_may_be_the_components_root() -> Result<()> {
    let app = app(
        "[[trigger.http]]\nroute = \"/...\"\ncomponent = { source = PROBE, files = [\
         { source = \"persistent\", destination = \"/\" }, { source = \"more\", destination = \"/data/more\" }] }\n",
    )?;
    std::fs::create_dir_all(app.directory().join("more"))?;
    std::fs::create_dir(app.volume().join("a"))?;
    std::fs::write(app.volume().join("a/file"), "of the root\n")?;
    std::fs::write(app.directory().join("more/file"), "more\n")?;
    let host = Host::of(&app).start().await?;
    ensure!(text(&host, "/read?path=/a/file").await? == "of the root\n");
    ensure!(text(&host, "/read?path=/data/more/file").await? == "more\n");
    ensure!(text(&host, "/write?name=new").await? == "written\n");
    ensure!(app.volume().join("new").exists());
    Ok(())
}
