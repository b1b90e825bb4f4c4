//! A node: a directory with its files, a process in whose mount namespace they are the machine's, and a containerd. A pod
//! of the DaemonSet sees the same of a real node: its root at /host, and process 1.

use crate::files::Files;
use crate::layout::{Containerd, Layout};
use anyhow::{Context, Result, anyhow};
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;
use visits_tests::{DEADLINE, artifacts, command, wait};

/// The node's own directories. All others are the machine's.
const OWN: [&str; 5] = ["etc", "opt", "var", "usr/local/bin", "run"];

/// A node. Its processes are killed on drop.
#[derive(Debug)]
pub(crate) struct Node {
    layout: Layout,
    directory: TempDir,
    first: Child,
}

impl Node {
    /// Makes a node and starts its containerd.
    pub(crate) async fn start(layout: Layout) -> Result<Self> {
        let directory = tempfile::tempdir().context("cannot make a directory for a node")?;
        furnish(directory.path(), &layout)?;
        let mut script = String::new();
        for own in OWN {
            let source = directory.path().join(own);
            script += &format!("mount --bind {} /{own} && ", source.display());
        }
        script += "service && { [ ! -x /usr/local/bin/watch-drop-ins ] || watch-drop-ins & } && exec sleep 2147483647";
        let first = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", &script])
            .env("PATH", path())
            .stdin(Stdio::null())
            .spawn()
            .context("cannot run unshare, which is part of util-linux")?;
        let node = Self {
            layout,
            directory,
            first,
        };
        node.answers().await?;
        Ok(node)
    }

    /// Returns its root directory.
    pub(crate) fn root(&self) -> &Path {
        self.directory.path()
    }

    /// Returns the path of one of its files.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root().join(path.trim_start_matches('/'))
    }

    /// Reads one of its files as text.
    pub(crate) fn read(&self, path: &str) -> Result<String> {
        let path = self.path(path);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// Returns the process that has its mount namespace.
    pub(crate) fn first(&self) -> u32 {
        self.first.id()
    }

    /// Reads the files that the script may change.
    pub(crate) fn files(&self) -> Result<Files> {
        Files::of(self.root())
    }

    /// Asserts that these are its files now.
    #[track_caller]
    pub(crate) fn is_as_in(&self, before: &Files) -> Result<()> {
        assert_eq!(
            self.files()?.changed_since(before, self.root()),
            [""; 0],
            "files were changed"
        );
        Ok(())
    }

    /// Returns how often containerd has been restarted.
    pub(crate) fn restarts(&self) -> Result<usize> {
        // The first line records its start.
        Ok(self.read("/run/restarts")?.lines().count() - 1)
    }

    /// Runs a program of the machine in its mount namespace.
    pub(crate) async fn run<A: AsRef<OsStr>>(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<String> {
        let mut command = Command::new("nsenter");
        command
            .args(["--mount", "--target", &self.first().to_string(), "--"])
            .arg(program)
            .args(arguments)
            .env("PATH", path());
        command::run_beside(command)
            .await
            .map_err(|error| self.failed(&error))
    }

    /// Returns containerd's status with its runtimes.
    pub(crate) async fn info(&self) -> Result<String> {
        let endpoint = format!("unix://{}", self.layout.socket);
        self.run("crictl", ["--runtime-endpoint", &endpoint, "info"])
            .await
    }

    /// Waits until containerd answers.
    pub(crate) async fn answers(&self) -> Result<()> {
        let answers = wait::until("the node's containerd answers", DEADLINE, async || {
            Ok(self.info().await.ok())
        });
        answers.await.map(drop).map_err(|error| self.failed(&error))
    }

    /// Returns an error with the end of containerd's log.
    pub(crate) fn failed(&self, error: &anyhow::Error) -> anyhow::Error {
        let log = self.read("/run/containerd.log").unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines[lines.len().saturating_sub(30)..].join("\n");
        anyhow!("{error:#}\n--- the end of the node's containerd's log ---\n{last}\n---")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Ok(Ok(pid)) = self.read("/run/pid").map(|pid| pid.trim().parse::<i32>()) {
            let pid = rustix::process::Pid::from_raw(pid);
            // What is left ends with the namespaces of the tests.
            let _ =
                pid.map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::KILL));
        }
        let _ = self.first.kill();
        let _ = self.first.wait();
    }
}

/// Returns the search path for the node's programs.
fn path() -> std::ffi::OsString {
    let mut path = std::ffi::OsString::from("/usr/local/bin:");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    path
}

/// Makes the node's directories, programs, files and services.
fn furnish(root: &Path, layout: &Layout) -> Result<()> {
    for own in OWN.into_iter().chain(["var/lib", "var/cache"]) {
        fs::create_dir_all(root.join(own))?;
    }
    let programs = root.join("usr/local/bin");
    let new = artifacts::node_binaries()?;
    let sources: Vec<PathBuf> = match layout.containerd {
        Containerd::Current => ["containerd", "ctr", "containerd-shim-runc-v2", "runc"]
            .map(|name| new.join(name))
            .into(),
        Containerd::Debian => {
            let old = artifacts::debian_binaries()?;
            [
                "usr/bin/containerd",
                "usr/bin/ctr",
                "usr/bin/containerd-shim-runc-v2",
                "usr/sbin/runc",
            ]
            .map(|name| old.join(name))
            .into()
        }
    };
    for source in sources.iter().chain([&new.join("crictl")]) {
        let name = source
            .file_name()
            .context("the path of a program has no file name")?;
        symlink(source, programs.join(name))?;
    }
    // busybox provides awk: the machine's may be a link through /etc, which is the node's own here.
    symlink(artifacts::busybox()?, programs.join("busybox"))?;
    // containerd copies these for a pod with the node's network.
    fs::write(root.join("etc/hosts"), "127.0.0.1 localhost\n")?;
    fs::write(root.join("etc/resolv.conf"), "")?;
    for (path, text) in &layout.files {
        let path = root.join(path.trim_start_matches('/'));
        fs::create_dir_all(
            path.parent()
                .context("the path of a file has no directory")?,
        )?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let fill = |text: &str| {
        text.replace("@render@", &layout.render)
            .replace("@config@", layout.config)
            .replace("@socket@", layout.socket)
            .replace("@unit@", layout.unit)
            .replace("@watched@", layout.watched.unwrap_or_default())
    };
    let mut scripts = vec![("service", include_str!("node/service.sh"))];
    if !layout.unit.is_empty() {
        scripts.push(("systemctl", include_str!("node/systemctl.sh")));
    }
    if layout.watched.is_some() {
        scripts.push(("watch-drop-ins", include_str!("node/watch.sh")));
    }
    for (name, text) in scripts {
        let path = programs.join(name);
        fs::write(&path, fill(text))?;
        fs::set_permissions(&path, Permissions::from_mode(0o755))?;
    }
    Ok(())
}
