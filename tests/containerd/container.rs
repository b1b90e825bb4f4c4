//! One container under guard: made by `ctr run`, which stays attached, so that its output and its exit code are those
//! of the container.

mod exec;
mod guard;
mod kind;

pub(crate) use exec::{Exec, ExecBuilder, pid_of};
pub(crate) use guard::Container;
use guard::Prepared;
pub(crate) use kind::Kind;

use crate::network::Network;
use crate::node::Node;
use crate::terminal::Terminal;
use crate::{ctr, images};
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

/// What runs a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runtime {
    /// The shim that this suite is about.
    Preopen,
    /// What containers usually run under: the yardstick.
    Runc,
}

impl Runtime {
    /// The yardstick first: what fails under it is wrong with the test.
    pub(crate) const BOTH: [Runtime; 2] = [Runtime::Runc, Runtime::Preopen];

    /// The name by which containerd finds it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Runtime::Preopen => "io.containerd.preopen.v1",
            Runtime::Runc => "io.containerd.runc.v2",
        }
    }
}

/// How a container is started. Made by [`Container::of`].
#[derive(Clone, Debug)]
pub(crate) struct Builder {
    image: String,
    runtime: Runtime,
    flags: Vec<OsString>,
    arguments: Vec<String>,
    cgroup: Option<String>,
}

impl Container {
    /// A container of this image, under the shim.
    pub(crate) fn of(image: &str) -> Builder {
        Builder {
            image: image.to_owned(),
            runtime: Runtime::Preopen,
            flags: Vec::new(),
            arguments: Vec::new(),
            cgroup: None,
        }
    }

    /// A native container that runs this line of shell.
    pub(crate) fn native(script: &str) -> Builder {
        Container::of(images::NATIVE).command(["/tools/sh", "-c", script])
    }
}

impl Builder {
    /// Under another runtime.
    pub(crate) fn runtime(mut self, runtime: Runtime) -> Self {
        self.runtime = runtime;
        self
    }

    /// A flag of `ctr run`, such as `--read-only` or `--user=65532`.
    pub(crate) fn flag(mut self, flag: impl Into<OsString>) -> Self {
        self.flags.push(flag.into());
        self
    }

    /// A variable of the container's environment.
    pub(crate) fn env(self, name: &str, value: &str) -> Self {
        self.flag("--env").flag(format!("{name}={value}"))
    }

    /// Another command than the image's. (`ctr` replaces the entrypoint, too.)
    pub(crate) fn command<'a>(mut self, words: impl IntoIterator<Item = &'a str>) -> Self {
        self.arguments = words.into_iter().map(str::to_owned).collect();
        self
    }

    /// A directory of the node, writable at `destination`.
    pub(crate) fn volume(self, source: &Path, destination: &str) -> Self {
        self.mount(source, destination, "rbind:rw")
    }

    /// A directory of the node, read-only at `destination`.
    pub(crate) fn read_only_volume(self, source: &Path, destination: &str) -> Self {
        self.mount(source, destination, "rbind:ro")
    }

    fn mount(self, source: &Path, destination: &str, options: &str) -> Self {
        let source = source.display();
        self.flag("--mount").flag(format!(
            "type=bind,src={source},dst={destination},options={options}"
        ))
    }

    /// A cgroup below that of the run, instead of one named after the container.
    pub(crate) fn cgroup(mut self, path: &str) -> Self {
        self.cgroup = Some(path.to_owned());
        self
    }

    /// Starts it and waits until it takes connections on port 5000.
    pub(crate) async fn start(self, node: &Node) -> Result<Container> {
        let container = self.spawn().await?;
        container.listens(node).await?;
        Ok(container)
    }

    /// Starts it and waits for nothing.
    pub(crate) async fn spawn(self) -> Result<Container> {
        let (prepared, command) = self.prepare(&[]).await?;
        prepared.attached(command)
    }

    /// Starts it in a terminal of so many columns and rows, which is its stdin and stdout.
    pub(crate) async fn spawn_in_terminal(
        self,
        columns: u16,
        rows: u16,
    ) -> Result<(Container, Terminal)> {
        let (prepared, command) = self.prepare(&["--tty"]).await?;
        let terminal = Terminal::run(command, columns, rows)?;
        Ok((prepared.beside(), terminal))
    }

    async fn prepare(self, more: &[&str]) -> Result<(Prepared, Command)> {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let id = format!("c{}", LAST.fetch_add(1, Ordering::Relaxed) + 1);
        let network = tokio::task::spawn_blocking(Network::new).await??;
        let directory = tempfile::tempdir().context("make a directory for a container")?;
        let cgroup = self.cgroup.clone().unwrap_or_else(|| id.clone());
        let cgroup = format!("{}/{cgroup}", Node::cgroup()?);
        let mut command: Command = ctr::command(ctr::NAMESPACE, ["run"])?;
        command
            .args(more)
            .args(["--runtime", self.runtime.name()])
            .args(["--cgroup", &cgroup])
            .args(["--rlimit-nofile", "4096:4096"])
            .arg(format!("--with-ns=network:{}", network.path().display()))
            .arg("--pid-file")
            .arg(directory.path().join("pid"))
            .args(&self.flags)
            .args([&self.image, &id])
            .args(&self.arguments);
        let prepared = Prepared {
            id,
            cgroup,
            network,
            directory,
        };
        Ok((prepared, command))
    }
}
