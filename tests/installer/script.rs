//! The script, run as its DaemonSet runs it, and the archive that it carries.

use crate::node::{Node, named_by};
use anyhow::{Context, Result, anyhow, ensure};
use oci_writer::{Platform, SourceDate};
use preopen_release::Release;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use tempfile::TempDir;

/// The script in the repository: what is tested is what is shipped.
const SCRIPT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../runtimeclass/installer/preopen-node"
);
/// How long containerd may take to restart, in seconds: less than the whole run, so that the script says what is wrong.
const DEADLINE: &str = "60";
/// Where it puts the shim.
pub(crate) const SHIM: &str = "/opt/preopen/bin/containerd-shim-preopen-v1";

/// The script with its archive, as in its image.
#[derive(Debug)]
pub(crate) struct Script {
    directory: TempDir,
}

/// What a run of it has said, and whether it has succeeded.
#[derive(Debug)]
pub(crate) struct Said {
    output: Output,
}

impl Script {
    /// With the shim that was built.
    pub(crate) fn new() -> Result<Self> {
        // Packed once for all tests, for that takes seconds.
        static PACKED: Mutex<Option<Release>> = Mutex::new(None);
        let mut packed = PACKED
            .lock()
            .map_err(|_| anyhow!("another test has failed"))?;
        if packed.is_none() {
            let shim = named_by("SHIM_BIN")?;
            let shim = fs::read(&shim).with_context(|| shim.display().to_string())?;
            *packed = Some(pack(&shim)?);
        }
        Self::with(packed.as_ref().context("it was packed above")?)
    }

    /// With another program in the shim's place.
    pub(crate) fn carrying(shim: &[u8]) -> Result<Self> {
        Self::with(&pack(shim)?)
    }

    fn with(release: &Release) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        release.write(directory.path())?;
        fs::copy(SCRIPT, directory.path().join("preopen-node")).context(SCRIPT)?;
        Ok(Self { directory })
    }

    /// The archive, to be damaged.
    pub(crate) fn archive(&self) -> Result<PathBuf> {
        let files = fs::read_dir(self.directory.path())?.flatten();
        let mut paths = files.map(|entry| entry.path());
        let archive = paths.find(|path| path.extension().is_some_and(|name| name == "gz"));
        archive.context("there is an archive beside the script")
    }

    /// The command line for this node.
    pub(crate) fn command(&self, node: &Node, arguments: &[&str]) -> Result<Command> {
        let first = node.first().to_string();
        let mut command = self.bare(node.root(), arguments)?;
        command.args(["--host-pid", &first]);
        Ok(command)
    }

    /// The command line for a directory that need not be a node's.
    pub(crate) fn bare(&self, root: &Path, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new("timeout");
        command
            .args(["--signal=KILL", "100"])
            .arg(named_by("BUSYBOX_BIN")?)
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
    pub(crate) async fn run(&self, node: &Node, arguments: &[&str]) -> Result<Said> {
        run(self.command(node, arguments)?).await
    }
}

fn pack(shim: &[u8]) -> Result<Release> {
    let platform = Platform::here().context("there are no archives for this machine")?;
    Release::pack(shim, "0.0.0", platform, SourceDate::default())
}

/// Runs a command line of the script.
pub(crate) async fn run(mut command: Command) -> Result<Said> {
    let run = tokio::task::spawn_blocking(move || command.output());
    let output = run.await?.context("run timeout, of coreutils")?;
    ensure!(
        output.status.code() != Some(137),
        "the script has not ended: {output:?}"
    );
    Ok(Said { output })
}

impl Said {
    /// Its stdout, if it has succeeded.
    pub(crate) fn ok(self) -> Result<String> {
        if self.output.status.success() {
            return Ok(text(&self.output.stdout));
        }
        Err(anyhow!("the script has failed: {}", self.everything()))
    }

    /// The one line of its error, if it has failed.
    pub(crate) fn error(self) -> Result<String> {
        ensure!(
            !self.output.status.success(),
            "the script has not failed: {}",
            self.everything()
        );
        let error = text(&self.output.stderr);
        ensure!(
            error.lines().count() == 1,
            "an error is one line: {}",
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
