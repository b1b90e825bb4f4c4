//! The script, run as in its DaemonSet, and the archive that it installs.

use crate::node::Node;
use anyhow::{Context, Result, anyhow, ensure};
use oci_writer::{Platform, SourceDate};
use preopen_release::Release;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use tempfile::TempDir;
use visits_tests::artifacts;

/// The script in the repository, which is the one that is released.
const SCRIPT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../runtimeclass/installer/preopen-node"
);
/// The seconds that containerd may take to restart. Less than the time for the whole run, so that the script reports the
/// failure itself.
const DEADLINE: &str = "60";
/// The path at which it installs the shim.
pub(crate) const SHIM: &str = "/opt/preopen/bin/containerd-shim-preopen-v1";

/// The script and its archive in one directory, as in its image.
#[derive(Debug)]
pub(crate) struct Script {
    directory: TempDir,
}

/// The output and the exit code of a run.
#[derive(Debug)]
pub(crate) struct Outcome {
    output: Output,
}

impl Script {
    /// Makes an archive with the shim that was built.
    pub(crate) fn new() -> Result<Self> {
        // Packed once for all tests, because it takes seconds.
        static PACKED: Mutex<Option<Release>> = Mutex::new(None);
        let mut packed = PACKED
            .lock()
            .map_err(|_| anyhow!("the packing in another test panicked"))?;
        if packed.is_none() {
            let shim = artifacts::shim()?;
            let shim =
                fs::read(&shim).with_context(|| format!("cannot read {}", shim.display()))?;
            *packed = Some(pack(&shim)?);
        }
        Self::with(packed.as_ref().context("the archive was not packed")?)
    }

    /// Makes an archive with another program in place of the shim.
    pub(crate) fn carrying(shim: &[u8]) -> Result<Self> {
        Self::with(&pack(shim)?)
    }

    fn with(release: &Release) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        release.write(directory.path())?;
        fs::copy(SCRIPT, directory.path().join("preopen-node")).context(SCRIPT)?;
        Ok(Self { directory })
    }

    /// Returns the path of the archive.
    pub(crate) fn archive(&self) -> Result<PathBuf> {
        let files = fs::read_dir(self.directory.path())?.flatten();
        let mut paths = files.map(|entry| entry.path());
        let archive = paths.find(|path| path.extension().is_some_and(|name| name == "gz"));
        archive.context("no archive beside the script")
    }

    /// Returns the command line for this node.
    pub(crate) fn command(&self, node: &Node, arguments: &[&str]) -> Result<Command> {
        let first = node.first().to_string();
        let mut command = self.bare(node.root(), arguments)?;
        command.args(["--host-pid", &first]);
        Ok(command)
    }

    /// Returns the command line for a root directory alone, without a process.
    pub(crate) fn bare(&self, root: &Path, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new("timeout");
        command
            .args(["--signal=KILL", "100"])
            .arg(artifacts::busybox()?)
            .arg("sh")
            .arg(self.directory.path().join("preopen-node"))
            .args(arguments.first())
            .args(["--deadline", DEADLINE])
            .args(arguments.iter().skip(1))
            .arg("--root")
            .arg(root)
            .stdin(Stdio::null());
        Ok(command)
    }

    /// Runs it on a node.
    pub(crate) async fn run(&self, node: &Node, arguments: &[&str]) -> Result<Outcome> {
        run(self.command(node, arguments)?).await
    }
}

fn pack(shim: &[u8]) -> Result<Release> {
    let platform = Platform::here().context("no archives are made for this architecture")?;
    Release::pack(shim, "0.0.0", platform, SourceDate::default())
}

/// Runs a command line of the script.
pub(crate) async fn run(mut command: Command) -> Result<Outcome> {
    let run = tokio::task::spawn_blocking(move || command.output());
    let output = run
        .await?
        .context("cannot run timeout, which is part of coreutils")?;
    ensure!(
        output.status.code() != Some(137),
        "the script has not ended: {output:?}"
    );
    Ok(Outcome { output })
}

impl Outcome {
    /// Returns its stdout. Fails if the script has failed.
    pub(crate) fn ok(self) -> Result<String> {
        if self.output.status.success() {
            return Ok(text(&self.output.stdout));
        }
        Err(anyhow!("the script has failed: {}", self.everything()))
    }

    /// Returns its error, which must be one line. Fails if the script has succeeded.
    pub(crate) fn error(self) -> Result<String> {
        ensure!(
            !self.output.status.success(),
            "the script has succeeded: {}",
            self.everything()
        );
        let error = text(&self.output.stderr);
        ensure!(
            error.lines().count() == 1,
            "the error is not one line: {}",
            self.everything()
        );
        Ok(error)
    }

    fn everything(&self) -> String {
        let Output {
            status,
            stdout,
            stderr,
        } = &self.output;
        format!("{status}\n{}{}", text(stdout), text(stderr))
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
