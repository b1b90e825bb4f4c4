//! Application variables: from the environment or the manifest to a component, and never into a log.

use crate::manifest::app;
use anyhow::{Result, ensure};
use visits_tests::{App, DEADLINE, Host, artifacts, get};

const MANIFEST: &str = r#"
[variables]
host = { default = "localhost" }
token = { required = true, secret = true }
upstream = { default = "" }
[[trigger.http]]
route = "/..."
component = "probe"
[component.probe]
source = PROBE
allowed_outbound_hosts = ["{{ upstream }}"]
[component.probe.variables]
url = "http://{{ host }}/?token={{token}}"
plain = "{ as it is }"
"#;

async fn text(host: &Host, path: &str) -> Result<String> {
    Ok(get(host.address(), path).await?.text().to_owned())
}

#[tokio::test]
async fn a_component_reads_its_variables_and_no_others() -> Result<()> {
    let app = app(MANIFEST)?;
    let host = Host::of(&app)
        .env("SPIN_VARIABLE_TOKEN", "s3cret")
        .start()
        .await?;
    let url = text(&host, "/variable?name=url").await?;
    ensure!(url == "http://localhost/?token=s3cret\n", "{url}");
    ensure!(text(&host, "/variable?name=plain").await? == "{ as it is }\n");
    let hidden = text(&host, "/variable?name=token").await?;
    ensure!(hidden.contains("Undefined"), "{hidden}");
    let invalid = text(&host, "/variable?name=No").await?;
    ensure!(invalid.contains("InvalidName"), "{invalid}");
    ensure!(!text(&host, "/env").await?.contains("s3cret"));
    let logged = host.stderr().lines().join("\n");
    ensure!(!logged.contains("s3cret"), "{logged}");
    let host = Host::of(&app)
        .env("SPIN_VARIABLE_TOKEN", "")
        .env("SPIN_VARIABLE_HOST", "other")
        .start()
        .await?;
    let url = text(&host, "/variable?name=url").await?;
    ensure!(url == "http://other/?token=\n", "{url}");
    Ok(())
}

#[tokio::test]
async fn a_required_variable_without_a_value_is_named_at_the_start() -> Result<()> {
    let app = app(MANIFEST)?;
    let host = Host::of(&app).env("RUST_LOG", "off").spawn()?;
    let exit = host.wait_exit(DEADLINE).await?;
    let lines = host.stderr().lines();
    ensure!(
        exit.code == Some(1) && lines.len() == 1,
        host.failed("one line")
    );
    ensure!(
        lines[0].contains("spin.toml: ")
            && lines[0].contains("set SPIN_VARIABLE_TOKEN in the environment"),
        "{lines:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_variable_may_say_which_host_is_asked() -> Result<()> {
    let hello = App::new(&artifacts::hello_wasm()?)?;
    let other = Host::of(&hello).start().await?;
    let path = format!("/outbound?url={}/", other.url());
    let app = app(MANIFEST)?;
    let start = |upstream: String| {
        let host = Host::of(&app).env("SPIN_VARIABLE_TOKEN", "s3cret");
        host.env("SPIN_VARIABLE_UPSTREAM", upstream)
    };
    let host = start(other.url()).start().await?;
    ensure!(text(&host, &path).await? == "200\n");
    let host = start(String::new()).start().await?;
    let refused = text(&host, &path).await?;
    ensure!(refused.contains("HttpRequestDenied"), "{refused}");
    let host = start("s3cret://".into()).env("RUST_LOG", "off").spawn()?;
    host.wait_exit(DEADLINE).await?;
    let lines = host.stderr().lines();
    ensure!(
        lines.len() == 1 && lines[0].contains("\"{{ upstream }}\" is not supported"),
        host.failed("one line")
    );
    ensure!(!lines[0].contains("s3cret"), "{lines:?}");
    Ok(())
}
