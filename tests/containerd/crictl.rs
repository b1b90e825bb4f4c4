//! `crictl`, which calls containerd's CRI as kubelet does.

use crate::node::config;
use anyhow::{Context, Result};
use serde_json::Value;
use std::process::Command;
use visits_tests::{artifacts, command};

/// Returns the command line `crictl ARGUMENTS`.
pub(crate) fn command<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Result<Command> {
    let mut command = Command::new(artifacts::node_binary("crictl")?);
    command
        .arg("--config")
        .arg(config::crictl())
        .args(arguments);
    Ok(command)
}

/// Runs `crictl ARGUMENTS` and returns its stdout.
pub(crate) async fn run<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Result<String> {
    command::run_beside(command(arguments)?).await
}

/// Runs `crictl ARGUMENTS` and returns the JSON on its stdout.
pub(crate) async fn json<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Result<Value> {
    let command = command(arguments)?;
    let line = command::line(&command);
    let text = command::run_beside(command).await?;
    serde_json::from_str(&text).with_context(|| format!("`{line}` printed no JSON: {text}"))
}

/// Succeeds once the CRI plugin is ready.
pub(crate) async fn answers() -> Result<()> {
    run(["info"]).await.map(drop)
}
