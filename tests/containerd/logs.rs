//! The output of component and host, as `ctr` and `kubectl logs` find it.

use crate::container::Container;
use crate::cri::{Pod, Setup};
use crate::images;
use crate::node::Node;
use anyhow::{Context, Result, ensure};
use visits_tests::get;

const STDOUT: &str = "the probe's stdout: {\"a\": 1}";
const STDERR: &str = "the probe's stderr: \u{1b}[1mbold";

#[tokio::test]
#[ignore = "needs root"]
async fn the_output_of_a_component_arrives_unchanged() -> Result<()> {
    let node = Node::shared().await?;
    let container = Container::of(images::PROBE).start(&node).await?;
    get(container.address(), "/print").await?;
    let ended = container.stop(&node).await?;
    assert_eq!(ended.stdout, [STDOUT]);
    ensure!(ended.stderr.iter().any(|line| line == STDERR), "{ended:?}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_pods_log_has_every_line_of_the_component_and_of_the_host() -> Result<()> {
    let node = Node::shared().await?;
    let (pod, container) = Pod::serving(&node, Setup::of(images::PROBE)).await?;
    get(pod.address(), "/print").await?;
    container.stop(30).await?;
    let log = container.log();
    ensure!(log.contains(&format!("stdout F {STDOUT}")), "{log:?}");
    ensure!(log.contains(&format!("stderr F {STDERR}")), "{log:?}");
    ensure!(log.iter().any(|line| line.contains("listening")), "{log:?}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn the_hosts_log_is_json_with_log_format_json() -> Result<()> {
    let node = Node::shared().await?;
    let command = ["/app/spin.toml", "--log-format", "json", "--access-log"];
    let container = Container::of(images::HELLO).command(command);
    let container = container.start(&node).await?;
    get(container.address(), "/").await?;
    let ended = container.stop(&node).await?;
    let mut messages = Vec::new();
    for line in &ended.stderr {
        let log: serde_json::Value = serde_json::from_str(line).with_context(|| line.clone())?;
        messages.push(log["fields"]["message"].clone());
    }
    ensure!(
        messages.iter().any(|message| message == "listening"),
        "{messages:?}"
    );
    let status = "\"status\":200";
    ensure!(
        ended.stderr.iter().any(|line| line.contains(status)),
        "{ended:?}"
    );
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn logs_can_go_to_a_file() -> Result<()> {
    let node = Node::shared().await?;
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("log");
    let uri = format!("file://{}", file.display());
    let builder = Container::of(images::PROBE).flag("--log-uri").flag(uri);
    let container = builder.start(&node).await?;
    get(container.address(), "/print").await?;
    container.stop(&node).await?;
    let log = std::fs::read_to_string(&file)?;
    ensure!(log.contains(STDOUT) && log.contains(STDERR), "{log}");
    Ok(())
}
