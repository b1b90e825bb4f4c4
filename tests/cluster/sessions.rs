//! An interactive program: its input stays open, and its output goes to a file.

use anyhow::{Context, Result, ensure};
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use visits_tests::{DEADLINE, command, wait};

/// The pause between two checks.
const PAUSE: Duration = Duration::from_millis(300);

/// A running program, which is killed on drop.
#[derive(Debug)]
pub(crate) struct Session {
    line: String,
    program: Child,
    directory: TempDir,
}

impl Session {
    /// Starts a program.
    pub(crate) fn start(mut command: Command) -> Result<Self> {
        let line = command::line(&command);
        let directory = TempDir::new().context("cannot create a directory for an output")?;
        let output =
            File::create(output(&directory)).context("cannot create a file for an output")?;
        command.stdin(Stdio::piped());
        command.stdout(output.try_clone()?).stderr(output);
        let program = command
            .spawn()
            .with_context(|| format!("cannot run `{line}`"))?;
        Ok(Self {
            line,
            program,
            directory,
        })
    }

    /// Waits until it has printed these words. Before each check it runs `cause`.
    pub(crate) async fn prints(&self, words: &str, mut cause: impl AsyncFnMut()) -> Result<()> {
        let what = format!("`{}` prints {words:?}", self.line);
        let waited = wait::until_every(PAUSE, &what, DEADLINE, async || {
            cause().await;
            Ok(self.printed()?.contains(words).then_some(()))
        });
        waited
            .await
            .with_context(|| self.printed().unwrap_or_default())
    }

    /// Writes to its input, at most 64 KiB: a pipe holds them even if the program reads nothing.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let input = self.program.stdin.as_mut().context("its input is closed")?;
        let written = input.write_all(bytes).and_then(|()| input.flush());
        written.with_context(|| format!("cannot write to `{}`", self.line))
    }

    /// Waits for its end and returns its exit code.
    pub(crate) async fn ends(mut self) -> Result<Option<i32>> {
        let what = format!("`{}` ends", self.line);
        let program = &mut self.program;
        let waited = wait::until_every(PAUSE, &what, DEADLINE, async || Ok(program.try_wait()?));
        let status = waited.await;
        Ok(status
            .with_context(|| self.printed().unwrap_or_default())?
            .code())
    }

    /// Fails if it has ended.
    pub(crate) fn check_running(&mut self) -> Result<()> {
        let ended = self.program.try_wait()?;
        ensure!(
            ended.is_none(),
            "`{}` has ended: {ended:?}: {}",
            self.line,
            self.printed()?
        );
        Ok(())
    }

    fn printed(&self) -> Result<String> {
        let bytes = std::fs::read(output(&self.directory)).context("cannot read an output")?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Err(error) = self.program.kill().and_then(|()| self.program.wait()) {
            eprintln!("note: `{}` is left behind: {error}", self.line);
        }
    }
}

fn output(directory: &TempDir) -> PathBuf {
    directory.path().join("output")
}
