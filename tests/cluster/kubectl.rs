//! The API as operators use it: `kubectl`, with a deadline.

use anyhow::{Context, Result};
use serde_json::Value;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use visits_tests::command::Bounded;

/// How long it takes until a pod runs, or is gone, on a machine with other things to do.
pub(crate) const POD: Duration = Duration::from_secs(120);

/// How long it may take to replace four pods, one after the other.
pub(crate) const ROLLOUT: Duration = Duration::from_secs(300);

/// How much sooner `kubectl wait` gives up than `kubectl` itself is killed, so that it can say what it waited for.
const GRACE: Duration = Duration::from_secs(10);

/// `kubectl ARGUMENTS`, ready to run.
pub(crate) fn command<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Result<Command> {
    let program = std::env::var_os("KUBECTL_BIN").map(PathBuf::from);
    let program = program.context("KUBECTL_BIN is not set: run `cargo xtask test cluster`")?;
    let mut command = Command::new(program);
    command.args(arguments);
    Ok(command)
}

/// Runs it; what it printed.
pub(crate) async fn run<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Result<String> {
    visits_tests::command::run_beside(command(arguments)?).await
}

/// Runs it; what it printed, as JSON.
pub(crate) async fn json<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Result<Value> {
    let mut command = command(arguments)?;
    command.arg("--output=json");
    let printed = visits_tests::command::run_beside(command).await?;
    serde_json::from_str(&printed).with_context(|| format!("what kubectl printed: {printed}"))
}

/// Runs one that waits, so long: `wait`, `rollout status`, `delete`.
pub(crate) async fn wait<A: AsRef<OsStr>>(
    deadline: Duration,
    arguments: impl IntoIterator<Item = A>,
) -> Result<String> {
    let mut command = command(arguments)?;
    command.arg(format!("--timeout={}s", deadline.as_secs()));
    let bounded = Bounded::new(command).within(deadline + GRACE);
    Ok(String::from_utf8_lossy(&bounded.run_beside().await?).into_owned())
}

/// Applies an object, in the namespace it names.
pub(crate) async fn apply(object: &Value) -> Result<()> {
    let apply = command(["apply", "--filename=-"])?;
    let applied = Bounded::new(apply).input(object.to_string()).run_beside();
    applied.await.map(drop)
}
