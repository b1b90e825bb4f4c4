//! Runs any program: with its output shown, or quietly unless it fails.

use anyhow::{Context, Result, bail, ensure};
use std::process::{Command, Stdio};
use visits_support::command::line;

/// How many of a failed command's last lines its error quotes.
const LAST_LINES: usize = 20;

/// Runs a command and returns an error if it fails.
pub(crate) fn run(mut command: Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", line(&command)))?;
    ensure!(status.success(), "{} failed: {status}", line(&command));
    Ok(())
}

/// Runs a command without showing its output. If it fails, the error quotes its last lines.
pub(crate) fn quietly(command: &mut Command) -> Result<()> {
    let line = line(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {line}"))?;
    if output.status.success() {
        return Ok(());
    }
    let all = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&all);
    let lines: Vec<_> = text.lines().filter(|line| !line.is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
    bail!("{line} failed: {}\n{}", output.status, last.join("\n"))
}
