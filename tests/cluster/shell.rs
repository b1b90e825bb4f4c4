//! A shell as an operator has it: in a directory of its own, with `kubectl` on its `PATH` and set to the test's namespace.
//! Lines of the documentation run in it unchanged.

use crate::namespace::Namespace;
use anyhow::{Context, Result};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use visits_tests::artifacts;
use visits_tests::command::run_beside;

/// The shell of a namespace.
#[derive(Debug)]
pub(crate) struct Shell {
    directory: TempDir,
}

impl Shell {
    /// Makes it.
    pub(crate) async fn new(namespace: &Namespace<'_>) -> Result<Self> {
        let directory = TempDir::new().context("cannot make a directory for a shell")?;
        let shell = Self { directory };
        let programs = shell.directory.path().join("bin");
        std::fs::create_dir(&programs).context("cannot make a directory for kubectl")?;
        symlink(artifacts::kubectl()?, programs.join("kubectl")).context("cannot link kubectl")?;
        let config = std::env::var_os("KUBECONFIG").map(PathBuf::from);
        let config = config.context("KUBECONFIG is not set: run `cargo xtask test cluster`")?;
        std::fs::copy(&config, shell.config())
            .with_context(|| format!("cannot copy {}", config.display()))?;
        let name = namespace.name();
        let set = format!("kubectl config set-context --current --namespace={name}");
        shell.run(&set).await?;
        Ok(shell)
    }

    /// Runs lines, up to the first that fails. Returns what they printed.
    pub(crate) async fn run(&self, lines: &str) -> Result<String> {
        let mut shell = self.command("sh");
        shell.args(["-euc", lines]);
        run_beside(shell).await
    }

    /// Makes a command with the shell's environment and working directory.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut path = self.directory.path().join("bin").into_os_string();
        if let Some(inherited) = std::env::var_os("PATH") {
            path.push(":");
            path.push(inherited);
        }
        let mut command = Command::new(program);
        command
            .current_dir(self.directory())
            .env("PATH", path)
            .env("KUBECONFIG", self.config());
        command
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
