//! Application variables: a component receives them from the environment or the manifest, and they are never logged.

use crate::common::{refusal, text};
use crate::manifest::app;
use anyhow::{Result, ensure};
use visits_tests::{App, Host, artifacts};

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
    let line = refusal(Host::of(&app), 1).await?;
    ensure!(
        line.contains("spin.toml: ") && line.contains("set SPIN_VARIABLE_TOKEN in the environment"),
        "{line}"
    );
    Ok(())
}

#[tokio::test]
async fn a_variable_may_name_an_outbound_host() -> Result<()> {
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
    let line = refusal(start("s3cret://".into()), 1).await?;
    ensure!(
        line.contains("\"{{ upstream }}\" is not supported"),
        "{line}"
    );
    ensure!(!line.contains("s3cret"), "{line}");
    Ok(())
}
