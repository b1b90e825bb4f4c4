//! The API as operators use it: `kubectl` with a deadline.

use anyhow::{Context, Result};
use serde_json::Value;
use std::ffi::OsStr;
use std::process::Command;
use std::time::Duration;
use visits_tests::artifacts;
use visits_tests::command::{Bounded, run_beside};

/// The deadline for one pod to run or to be gone, on a busy machine.
pub(crate) const POD: Duration = Duration::from_secs(120);

/// The deadline for replacing four pods one after the other.
pub(crate) const ROLLOUT: Duration = Duration::from_secs(300);

/// How much later than its own deadline `kubectl wait` is killed, so that it can report what it waited for.
const GRACE: Duration = Duration::from_secs(10);

/// Returns the command `kubectl ARGUMENTS`.
pub(crate) fn command<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Result<Command> {
    let mut command = Command::new(artifacts::kubectl()?);
    command.args(arguments);
    Ok(command)
}

/// Returns `--namespace=NAME ARGUMENTS`. The option comes first, because after `--` it would belong to another program.
pub(crate) fn in_namespace(name: &str, arguments: &[&str]) -> Vec<String> {
    let mut words = vec![format!("--namespace={name}")];
    words.extend(arguments.iter().map(|&word| word.to_owned()));
    words
}

/// Runs `kubectl` and returns its stdout.
pub(crate) async fn run<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Result<String> {
    run_beside(command(arguments)?).await
}

/// Runs `kubectl` and returns its stdout as JSON.
pub(crate) async fn json<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Result<Value> {
    let mut command = command(arguments)?;
    command.arg("--output=json");
    let printed = run_beside(command).await?;
    serde_json::from_str(&printed).with_context(|| format!("kubectl printed: {printed}"))
}

/// Runs a subcommand that waits, such as `wait`, `rollout status` or `delete`, with this deadline.
pub(crate) async fn wait<A: AsRef<OsStr>>(
    deadline: Duration,
    arguments: impl IntoIterator<Item = A>,
) -> Result<String> {
    let mut command = command(arguments)?;
    command.arg(format!("--timeout={}s", deadline.as_secs()));
    let bounded = Bounded::new(command).within(deadline + GRACE);
    Ok(String::from_utf8_lossy(&bounded.run_beside().await?).into_owned())
}

/// Applies an object in the namespace of its metadata.
pub(crate) async fn apply(object: &Value) -> Result<()> {
    let apply = command(["apply", "--filename=-"])?;
    let applied = Bounded::new(apply).input(object.to_string()).run_beside();
    applied.await.map(drop)
}
