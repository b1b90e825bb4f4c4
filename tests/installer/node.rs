//! A node: a directory with the files of one, a process in whose mount namespace those are the machine's, a containerd
//! in it and what restarts that. It is what a pod of the DaemonSet sees of a real one: its root by /host, and process 1.

use crate::files::Files;
use crate::layout::{Containerd, Layout};
use anyhow::{Context, Result, anyhow, ensure};
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;
use visits_tests::{DEADLINE, command, wait};

/// The directories of the node's own; the rest is the machine's.
const OWN: [&str; 5] = ["etc", "opt", "var", "usr/local/bin", "run"];

/// A node; its processes end on drop.
#[derive(Debug)]
pub(crate) struct Node {
    layout: Layout,
    directory: TempDir,
    first: Child,
}

impl Node {
    /// Makes one and starts its containerd.
    pub(crate) async fn start(layout: Layout) -> Result<Self> {
        let directory = tempfile::tempdir().context("make a directory for a node")?;
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
            .context("run unshare, which is part of util-linux")?;
        let node = Self {
            layout,
            directory,
            first,
        };
        node.answers().await?;
        Ok(node)
    }

    /// Its root directory.
    pub(crate) fn root(&self) -> &Path {
        self.directory.path()
    }

    /// A file of it.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root().join(path.trim_start_matches('/'))
    }

    /// The text of a file of it.
    pub(crate) fn read(&self, path: &str) -> Result<String> {
        let path = self.path(path);
        fs::read_to_string(&path).with_context(|| path.display().to_string())
    }

    /// The process in whose mount namespace it is.
    pub(crate) fn first(&self) -> u32 {
        self.first.id()
    }

    /// The files that the script may change, as they are now.
    pub(crate) fn files(&self) -> Result<Files> {
        Files::of(self.root())
    }

    /// How often containerd has been restarted.
    pub(crate) fn restarts(&self) -> Result<usize> {
        // The first line is its start.
        Ok(self.read("/run/restarts")?.lines().count() - 1)
    }

    /// Runs a program of the machine's in its mount namespace.
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

    /// What containerd says of its runtimes.
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

    /// An error that carries containerd's log.
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
            // What is left is ended with the tests' own namespaces.
            let _ =
                pid.map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::KILL));
        }
        let _ = self.first.kill();
        let _ = self.first.wait();
    }
}

/// Where the node's programs are.
fn path() -> std::ffi::OsString {
    let mut path = std::ffi::OsString::from("/usr/local/bin:");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    path
}

fn furnish(root: &Path, layout: &Layout) -> Result<()> {
    for own in OWN.into_iter().chain(["var/lib", "var/cache"]) {
        fs::create_dir_all(root.join(own))?;
    }
    let programs = root.join("usr/local/bin");
    let new = named_by("NODE_BIN_DIR")?;
    let sources: Vec<PathBuf> = match layout.containerd {
        Containerd::New => ["containerd", "ctr", "containerd-shim-runc-v2", "runc"]
            .map(|name| new.join(name))
            .into(),
        Containerd::Old => {
            let old = named_by("DEBIAN_NODE_DIR")?;
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
        let name = source.file_name().context("a program has a name")?;
        symlink(source, programs.join(name))?;
    }
    // The machine's awk may be a link through /etc, which is not the machine's here.
    symlink(named_by("BUSYBOX_BIN")?, programs.join("busybox"))?;
    // What containerd copies for a pod of the node's network.
    fs::write(root.join("etc/hosts"), "127.0.0.1 localhost\n")?;
    fs::write(root.join("etc/resolv.conf"), "")?;
    for (path, text) in &layout.files {
        let path = root.join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().context("a file is in a directory")?)?;
        fs::write(&path, text).with_context(|| path.display().to_string())?;
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

/// What a variable of `cargo xtask test` names.
pub(crate) fn named_by(variable: &str) -> Result<PathBuf> {
    let path = std::env::var_os(variable)
        .map(PathBuf::from)
        .with_context(|| {
            format!("{variable} is not set: run `cargo xtask test containerd`, which sets it")
        })?;
    ensure!(path.exists(), "{variable}={}: no such file", path.display());
    Ok(path)
}
