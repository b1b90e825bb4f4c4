//! Containers that `ctr run` starts. `ctr` stays attached, so its output and its exit code are those of the container.
//!
//! - [`guard`]: the container itself, removed on drop
//! - [`exec`]: a process started in it by `ctr tasks exec`
//! - [`workload`]: the three kinds of containers in which an exec is tried

mod exec;
mod guard;
mod workload;

pub(crate) use exec::{Exec, ExecBuilder};
pub(crate) use guard::Container;
use guard::Prepared;
pub(crate) use workload::Workload;

use crate::network::Network;
use crate::node::Node;
use crate::terminal::Terminal;
use crate::{ctr, images};
use anyhow::{Context, Result, ensure};
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

/// The runtime of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runtime {
    /// The shim under test.
    Preopen,
    /// The control: the runtime that most nodes use.
    Runc,
}

impl Runtime {
    /// Both runtimes, the control first: a test that fails under runc is wrong itself.
    pub(crate) const BOTH: [Runtime; 2] = [Runtime::Runc, Runtime::Preopen];

    /// Returns its name in containerd.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Runtime::Preopen => "io.containerd.preopen.v1",
            Runtime::Runc => "io.containerd.runc.v2",
        }
    }
}

/// The command line of a container that is not started yet. Made by [`Container::of`].
#[derive(Clone, Debug)]
pub(crate) struct ContainerBuilder {
    image: String,
    runtime: Runtime,
    flags: Vec<OsString>,
    arguments: Vec<String>,
    cgroup: Option<String>,
    own_network: bool,
}

impl Container {
    /// Describes a container of this image under the shim.
    pub(crate) fn of(image: &str) -> ContainerBuilder {
        ContainerBuilder {
            image: image.to_owned(),
            runtime: Runtime::Preopen,
            flags: Vec::new(),
            arguments: Vec::new(),
            cgroup: None,
            own_network: false,
        }
    }

    /// Describes a native container that runs this line of shell.
    pub(crate) fn native(script: &str) -> ContainerBuilder {
        Container::of(images::NATIVE).command(["/tools/sh", "-c", script])
    }

    /// Describes a native container that sleeps, for tests of what runs beside its first process.
    pub(crate) fn sleeping(runtime: Runtime) -> ContainerBuilder {
        Container::native("exec sleep 1000").runtime(runtime)
    }

    /// Describes a counter with its count in this directory of the node.
    pub(crate) fn visits(volume: &Path) -> ContainerBuilder {
        Container::of(images::VISITS).volume(volume, images::VISITS_VOLUME)
    }
}

impl ContainerBuilder {
    /// Selects another runtime.
    pub(crate) fn runtime(mut self, runtime: Runtime) -> Self {
        self.runtime = runtime;
        self
    }

    /// Adds a flag of `ctr run`, such as `--read-only` or `--user=65532`.
    pub(crate) fn flag(self, flag: impl Into<OsString>) -> Self {
        self.flags([flag])
    }

    /// Adds several flags.
    pub(crate) fn flags<F: Into<OsString>>(mut self, flags: impl IntoIterator<Item = F>) -> Self {
        self.flags.extend(flags.into_iter().map(Into::into));
        self
    }

    /// Adds an environment variable.
    pub(crate) fn env(self, name: &str, value: &str) -> Self {
        self.flag("--env").flag(format!("{name}={value}"))
    }

    /// Replaces the image's command. (`ctr` replaces the entrypoint too.)
    pub(crate) fn command<'a>(mut self, words: impl IntoIterator<Item = &'a str>) -> Self {
        self.arguments = words.into_iter().map(str::to_owned).collect();
        self
    }

    /// Mounts a directory of the node, writable, at `destination`.
    pub(crate) fn volume(self, source: &Path, destination: &str) -> Self {
        self.mount(source, destination, "rbind:rw")
    }

    /// Mounts a directory of the node, read-only, at `destination`.
    pub(crate) fn read_only_volume(self, source: &Path, destination: &str) -> Self {
        self.mount(source, destination, "rbind:ro")
    }

    /// Mounts a directory of the node with these mount options.
    pub(crate) fn mount(self, source: &Path, destination: &str, options: &str) -> Self {
        let source = source.display();
        self.flag("--mount").flag(format!(
            "type=bind,src={source},dst={destination},options={options}"
        ))
    }

    /// Places the container in this cgroup below that of the run, instead of one named after the container.
    pub(crate) fn cgroup(mut self, path: &str) -> Self {
        self.cgroup = Some(path.to_owned());
        self
    }

    /// Gives it a user namespace with these mappings of users and groups: `0:100000:65536`. It has a network of its own, which
    /// leads nowhere, because only its own root may set up `/sys` for that.
    pub(crate) fn in_user_namespace(mut self, mappings: &[&str]) -> Self {
        self.own_network = true;
        let flags = mappings
            .iter()
            .flat_map(|mapping| [format!("--uidmap={mapping}"), format!("--gidmap={mapping}")]);
        self.flags(flags)
    }

    /// Starts it and waits until it accepts connections on port 5000.
    pub(crate) async fn start(self, node: &Node) -> Result<Container> {
        let container = self.spawn().await?;
        container.listens(node).await?;
        Ok(container)
    }

    /// Starts it and waits until its first process runs.
    pub(crate) async fn spawn_running(self) -> Result<Container> {
        let container = self.spawn().await?;
        container.runs().await?;
        Ok(container)
    }

    /// Starts it without waiting.
    pub(crate) async fn spawn(self) -> Result<Container> {
        let (prepared, command) = self.prepare(&[]).await?;
        prepared.attached(command)
    }

    /// Starts it, which must fail, and returns the error.
    pub(crate) async fn refused(self, node: &Node) -> Result<String> {
        let described = format!("{} with {:?}", self.image, self.flags);
        let container = self.spawn().await?;
        let code = container.exited(node).await?;
        ensure!(code != 0, "{described} was not refused");
        Ok(container.stderr().lines().concat())
    }

    /// Starts it in a terminal of this size, which is its stdin and stdout.
    pub(crate) async fn spawn_in_terminal(
        self,
        columns: u16,
        rows: u16,
    ) -> Result<(Container, Terminal)> {
        let (prepared, command) = self.prepare(&["--tty"]).await?;
        let terminal = Terminal::sized(command, columns, rows)?;
        Ok((prepared.detached(), terminal))
    }

    async fn prepare(self, more: &[&str]) -> Result<(Prepared, Command)> {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let id = format!("c{}", LAST.fetch_add(1, Ordering::Relaxed) + 1);
        let network = tokio::task::spawn_blocking(Network::new).await??;
        let directory = tempfile::tempdir().context("cannot make a directory for a container")?;
        let cgroup = self.cgroup.clone().unwrap_or_else(|| id.clone());
        let cgroup = format!("{}/{cgroup}", Node::cgroup()?);
        let shared = format!("--with-ns=network:{}", network.path().display());
        let mut command: Command = ctr::command(ctr::NAMESPACE, ["run"])?;
        command
            .args(more)
            .args(["--runtime", self.runtime.name()])
            .args(["--cgroup", &cgroup])
            .args(["--rlimit-nofile", "4096:4096"])
            .args((!self.own_network).then_some(shared))
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
