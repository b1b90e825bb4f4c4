//! An operator's shell, with a directory of its own and with `kubectl` on the `PATH` and set to the test's namespace. It runs
//! unchanged lines of the documentation.

use crate::namespace::Namespace;
use anyhow::{Context, Result};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use visits_support::environment::KUBECONFIG;
use visits_support::programs;
use visits_tests::artifacts;
use visits_tests::command::run_beside;

/// The shell of a namespace.
#[derive(Debug)]
pub(crate) struct Shell {
    directory: TempDir,
}

impl Shell {
    /// Prepares the shell's directory.
    pub(crate) async fn new(namespace: &Namespace<'_>) -> Result<Self> {
        let directory = TempDir::new().context("cannot create a directory for a shell")?;
        let shell = Self { directory };
        let programs = shell.directory.path().join("bin");
        std::fs::create_dir(&programs).context("cannot create a directory for kubectl")?;
        symlink(artifacts::kubectl()?, programs.join("kubectl")).context("cannot link kubectl")?;
        let config = KUBECONFIG.path()?;
        std::fs::copy(&config, shell.config())
            .with_context(|| format!("cannot copy {}", config.display()))?;
        let name = namespace.name();
        let set = format!("kubectl config set-context --current --namespace={name}");
        shell.run(&set).await?;
        Ok(shell)
    }

    /// Runs lines, up to the first that fails, and returns their stdout.
    pub(crate) async fn run(&self, lines: &str) -> Result<String> {
        let mut shell = self.command("sh")?;
        shell.args(["-euc", lines]);
        run_beside(shell).await
    }

    /// Returns a command with the shell's environment and working directory.
    pub(crate) fn command(&self, program: &str) -> Result<Command> {
        let path = programs::path_with(&[self.directory.path().join("bin")])?;
        let mut command = Command::new(program);
        command
            .current_dir(self.directory())
            .env("PATH", path)
            .env("KUBECONFIG", self.config());
        Ok(command)
    }

    /// Returns its working directory.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Returns the bytes of a file in its working directory.
    pub(crate) fn read(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.directory().join(name);
        std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    fn config(&self) -> PathBuf {
        self.directory.path().join("kubeconfig")
    }
}
