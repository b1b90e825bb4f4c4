//! The verdict of porcupine on a history: is it linearizable? The program is in tests/counting/go/linearizable.
//!
//! A history is linearizable if each visit can be placed at a moment between its call and its return so that a counter which
//! makes the visits in this order gives the same numbers.

use crate::artifacts;
use crate::history::History;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::Command;

/// What porcupine found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Some order of the visits explains all numbers.
    Linearizable,
    /// None does. The text names the first visits that have no place.
    Impossible(String),
}

/// Returns porcupine's verdict on a file that [`History::write`] has written. It searches for at most two minutes. With
/// `plain` it neither fills gaps nor cuts the history first, which only ends for short ones.
///
/// # Errors
/// Fails if the file is no history, and if the search takes too long.
pub fn judge(history: &Path, plain: bool) -> Result<Verdict> {
    let mut command = Command::new(artifacts::linearizable()?);
    if plain {
        command.arg("-plain");
    }
    let output = command.arg(history).output()?;
    match output.status.code() {
        Some(0) => Ok(Verdict::Linearizable),
        Some(1) => Ok(Verdict::Impossible(
            String::from_utf8_lossy(&output.stdout).trim_end().into(),
        )),
        _ => bail!(
            "no verdict on {}: {}",
            history.display(),
            String::from_utf8_lossy(&output.stderr).trim_end()
        ),
    }
}

impl History {
    /// Returns porcupine's verdict on what is recorded.
    ///
    /// # Errors
    /// Fails if there is no verdict.
    pub async fn verdict(&self) -> Result<Verdict> {
        let file = tempfile::NamedTempFile::new()?;
        self.write(file.path())?;
        tokio::task::spawn_blocking(move || judge(file.path(), false))
            .await
            .context("the thread that runs the judge")?
    }

    /// Checks that what is recorded is linearizable.
    ///
    /// # Errors
    /// Fails with porcupine's reason if it is not, and keeps the recording in the directory for temporary files.
    pub async fn check_linearizable(&self) -> Result<()> {
        let Verdict::Impossible(reason) = self.verdict().await? else {
            return Ok(());
        };
        let (_, path) = tempfile::NamedTempFile::new()?.keep()?;
        self.write(&path)?;
        bail!("{reason}\nthe recording is in {}", path.display())
    }
}
