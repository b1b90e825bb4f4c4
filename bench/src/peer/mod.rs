//! The servers that are measured: ours, and the peers that the counter is compared with.
//!
//! - [`preopen`]: components on our host
//! - [`wasmtime`]: the same components on `wasmtime serve`
//! - [`native`]: a native server with the counter's protocol
//! - [`python`]: what the counter replaces
//! - [`redis`]: a database that counts
//! - [`pods`]: the images of the counter, of `wasmtime serve` and of the native server in a cluster's pods

mod native;
mod pods;
mod preopen;
mod python;
mod redis;
mod wasmtime;

use crate::address::free_address;
use crate::pod::Template;
use crate::process::Process;
use crate::server::Server;
use anyhow::{Context, Result, bail};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Makes the command of a server for an address and a volume.
type MakeCommand = Box<dyn Fn(SocketAddr, &Path) -> Result<Command>>;

/// How a server is started.
enum Launch {
    /// As a process of this machine.
    Process(MakeCommand),
    /// As a pod of the cluster of this project that runs.
    Pod(Template),
}

/// How a server is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// `GET /`
    Http,
    /// `INCR`
    Redis,
}

/// How many visits a server has counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    /// It does not count.
    None,
    /// The number is in `visits.bin`.
    File,
    /// The number is in Redis.
    Redis,
}

/// One server.
pub(crate) struct Peer {
    /// Its name in options and results.
    pub(crate) id: &'static str,
    /// Its description.
    pub(crate) title: &'static str,
    /// How many processes serve one volume together.
    pub(crate) processes: usize,
    pub(crate) protocol: Protocol,
    pub(crate) count: Count,
    /// Whether its first start compiles the component, and later ones find the code in a cache.
    pub(crate) caches: bool,
    launch: Launch,
}

/// Files that replace those of this repository, to compare two builds.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Other {
    /// Another build of `preopen`, measured as `other` beside this one
    #[arg(long, value_name = "FILE")]
    other_host: Option<PathBuf>,
    /// Another build of the counter's component, measured as `other` beside this one
    #[arg(long, value_name = "FILE")]
    other_counter: Option<PathBuf>,
}

impl Peer {
    fn new<L>(id: &'static str, title: &'static str, count: Count, launch: L) -> Self
    where
        L: Fn(SocketAddr, &Path) -> Result<Command> + 'static,
    {
        Self {
            id,
            title,
            processes: 1,
            protocol: Protocol::Http,
            count,
            caches: false,
            launch: Launch::Process(Box::new(launch)),
        }
    }

    /// Returns the command that serves this address and keeps its files in this directory.
    ///
    /// Fails if a program or file of the server is missing, or if the server is a pod.
    pub(crate) fn command(&self, address: SocketAddr, directory: &Path) -> Result<Command> {
        match &self.launch {
            Launch::Process(command) => command(address, directory),
            Launch::Pod(_) => bail!("it is a pod"),
        }
        .with_context(|| format!("cannot run {}", self.id))
    }

    /// Starts the server, or one of its processes, with the volume in this directory. Returns the server's address, too.
    pub(crate) fn start(
        &self,
        directory: &Path,
        number: usize,
    ) -> Result<(Box<dyn Server>, SocketAddr)> {
        if let Launch::Pod(template) = &self.launch {
            let pod = template.start(self.id, directory);
            let pod = pod.with_context(|| format!("cannot run {}", self.id))?;
            let address = pod.address();
            return Ok((Box::new(pod), address));
        }
        let address = free_address()?;
        let command = self.command(address, directory)?;
        let log = directory.join(format!("log.{number}"));
        Ok((Box::new(Process::start(command, &log)?), address))
    }

    /// Returns why the server cannot be started here, if so.
    pub(crate) fn missing(&self) -> Option<String> {
        if let Launch::Pod(template) = &self.launch {
            return template.missing(self.id);
        }
        let directory = TempDir::new().ok()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let error = self.command(address, directory.path()).err()?;
        Some(format!("{error:#}"))
    }

    /// Returns a counter or another component on our host.
    fn ours<L>(id: &'static str, title: &'static str, count: Count, launch: L) -> Self
    where
        L: Fn(SocketAddr, &Path) -> Result<Command> + 'static,
    {
        Self {
            caches: true,
            ..Self::new(id, title, count, launch)
        }
    }

    fn pod(id: &'static str, title: &'static str, template: Template) -> Self {
        Self {
            id,
            title,
            processes: 1,
            protocol: Protocol::Http,
            count: Count::File,
            caches: false,
            launch: Launch::Pod(template),
        }
    }

    fn together(mut self, processes: usize) -> Self {
        self.processes = processes;
        self
    }
}

/// Returns all servers. Those whose figures are compared most are neighbours, because machines drift.
pub(crate) fn all(other: &Other) -> Vec<Peer> {
    use Count::{File, None};
    let mut peers = vec![
        Peer::new(
            "wasmtime-hello",
            "wasmtime serve, hello",
            None,
            wasmtime::hello,
        ),
        Peer::ours("hello", "preopen, hello", None, preopen::hello),
        Peer::ours("visits", "preopen, visits", File, preopen::visits),
    ];
    if other.other_host.is_some() || other.other_counter.is_some() {
        let (host, counter) = (other.other_host.clone(), other.other_counter.clone());
        peers.push(Peer::ours(
            "other",
            "the other build, visits",
            File,
            move |address, directory| {
                preopen::other(host.as_deref(), counter.as_deref(), address, directory)
            },
        ));
    }
    peers.extend([
        Peer::ours(
            "sdk-visits",
            "preopen, visits behind spin-sdk's macro",
            File,
            preopen::sdk,
        ),
        Peer::new(
            "native-visits",
            "native, same protocol",
            File,
            native::visits,
        ),
        Peer::new("native-hello", "native, hello", None, native::hello),
        Peer::new(
            "native-fsync",
            "native, one fsync a visit",
            File,
            native::fsync,
        ),
        Peer::ours(
            "visits-2-hosts",
            "preopen, visits, 2 hosts on one volume",
            File,
            preopen::visits,
        )
        .together(2),
        Peer::ours(
            "visits-4-hosts",
            "preopen, visits, 4 hosts on one volume",
            File,
            preopen::visits,
        )
        .together(4),
        Peer::new(
            "wasmtime-visits",
            "wasmtime serve, visits",
            File,
            wasmtime::visits,
        ),
        Peer::ours("naive", "preopen, naive handler", File, preopen::naive),
        Peer::new(
            "wasmtime-naive",
            "wasmtime serve, naive handler",
            File,
            wasmtime::naive,
        ),
        Peer::new(
            "python",
            "FastAPI and uvicorn, no fsync",
            File,
            python::buffered,
        ),
        Peer::new(
            "python-fsync",
            "FastAPI and uvicorn, fsync",
            File,
            python::synced,
        ),
        Peer {
            protocol: Protocol::Redis,
            ..Peer::new(
                "redis",
                "Redis INCR, appendfsync always",
                Count::Redis,
                redis::always,
            )
        },
    ]);
    peers.extend(pods::all());
    peers
}
