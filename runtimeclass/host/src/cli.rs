//! The command line of `preopen`: what it takes, what it teaches, and what it does with it.
//!
//! Everything that can be wrong with what was given is found before the component's directories are touched, and is
//! one line on stderr: `error: …`. A malformed command line exits with 2, everything else with 1.
//!
//! A container is the same command: its arguments are the command line, its environment the process's. What differs
//! there is in [`Container`].

mod container;
mod listener;
mod values;

pub use container::Container;

use crate::app::{App, Overrides};
use crate::cache::Cache;
use crate::code::Code;
use crate::descriptors;
use crate::logs::{self, Format};
use crate::manifest::Manifest;
use crate::server::{Drained, serve};
use crate::settings::{Limits, MemoryLimit};
use crate::signals::Signals;
use crate::trust::Authorities;
use anyhow::{Context, Result};
use clap::Parser;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

const SUCCESS: u8 = 0;
const FAILURE: u8 = 1;

/// Serves the HTTP components of a Spin manifest, with their files mounted in place.
///
/// A component is compiled once and kept compiled. One warm instance of it answers all its requests, or, of a component
/// of WASI 0.2, a new instance each request. It sees the directories that the manifest's `files` names, writable where the file system is, the environment that the
/// manifest and --env give, and nothing else of this machine.
#[derive(Debug, Parser)]
#[command(name = "preopen", version, after_help = EXAMPLES)]
struct Arguments {
    /// The manifest: spin.toml, version 2. Paths in it are relative to its directory.
    #[arg(default_value = "spin.toml")]
    manifest: PathBuf,

    /// The address to listen on, IP:PORT. Port 0 takes a free one; the log says which. [::]:PORT takes IPv4 connections
    /// too. [default: 127.0.0.1:5000; in a container [::]:5000, or 0.0.0.0:5000 if the node has no IPv6]
    #[arg(long, value_name = "ADDR", env = "SPIN_HTTP_LISTEN_ADDR")]
    listen: Option<SocketAddr>,

    /// An environment variable for every component, over the manifest's. HOSTNAME is the machine's name unless given.
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = values::assignment)]
    environment: Vec<(String, String)>,

    /// The directory DIR stands behind the `files` entry of the manifest whose source is SOURCE.
    #[arg(long = "source", value_name = "SOURCE=DIR", value_parser = values::assignment)]
    sources: Vec<(String, String)>,

    /// A file of certificates in PEM whose authorities outbound requests trust beside the usual ones: a list that is
    /// built in, or what SSL_CERT_FILE and SSL_CERT_DIR name.
    #[arg(long = "ca-file", value_name = "FILE")]
    ca_files: Vec<PathBuf>,

    /// The memory all instances may have together: bytes, or with a unit: KiB, MiB, GiB (KB, MB, GB are powers of ten).
    /// [default: 128MiB; in a container so much less that the host fits beside it into the container's limit]
    #[arg(long, value_name = "SIZE", value_parser = values::memory)]
    memory_limit: Option<usize>,

    /// How long a component may take to begin a response. Beyond it the client gets 504. Other requests of the instance
    /// go on; the instance is replaced only if it does not react. Units: ms, s, m, h.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = values::duration)]
    request_timeout: Duration,

    /// How long SIGTERM or SIGINT wait for requests in flight. A second signal ends at once.
    #[arg(long, value_name = "DURATION", default_value = "25s", value_parser = values::duration)]
    drain_timeout: Duration,

    /// Connections at once. For one more, the one that has been idle longest is closed; if none is idle, it waits.
    /// Each takes one of the files that `ulimit -n` allows.
    /// [default: 1024, or as many as there is room for]
    #[arg(long, value_name = "N", value_parser = values::count)]
    max_connections: Option<usize>,

    /// How long a client may take to send the head of a request.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = values::duration)]
    header_timeout: Duration,

    /// How long a client may keep a connection idle between two requests. Keep it above the limit of the proxy before
    /// it, so that the proxy closes first.
    #[arg(long, value_name = "DURATION", default_value = "620s", value_parser = values::duration)]
    idle_timeout: Duration,

    /// How long a client may pause in the middle of a request's body.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = values::duration)]
    body_timeout: Duration,

    /// The size of a request's head, at most; 431 beyond it. Units as for --memory-limit.
    #[arg(long, value_name = "SIZE", default_value = "32KiB", value_parser = values::header)]
    max_header_size: usize,

    /// Where compiled code is kept. It must belong to you, and nobody else may write it. Refused in a container.
    /// [default: $XDG_CACHE_HOME/preopen or ~/.cache/preopen]
    #[arg(long, value_name = "DIR")]
    cache_dir: Option<PathBuf>,

    /// How log lines on stderr look. RUST_LOG says which there are (default: info).
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    log_format: Format,

    /// Logs one line for every request: method, path, status, milliseconds until the answer began, peer.
    #[arg(long)]
    access_log: bool,
}

const EXAMPLES: &str = "\
Examples:
  preopen                                     serve ./spin.toml on 127.0.0.1:5000
  preopen --listen 0.0.0.0:8080 app/spin.toml
  preopen --source persistent=/var/lib/visits --env POD_NAME=visits-0
  preopen --memory-limit 64MiB --request-timeout 5s --log-format json --access-log

It exits with 0 when it was stopped and every request was answered, 1 on an error or when requests were cut,
2 when the command line is malformed, and 128 + the signal's number at a second signal.";

/// Runs the command with this process's arguments.
pub fn main() -> ExitCode {
    ExitCode::from(command(std::env::args_os(), None))
}

/// Runs the command inside a container: `arguments` are the container's, the manifest first. The process's environment
/// must be the container's. Returns the exit code.
pub fn main_in(container: &Container, arguments: &[String]) -> u8 {
    let line = std::iter::once("preopen").chain(arguments.iter().map(String::as_str));
    command(line.map(OsString::from), Some(container))
}

fn command(line: impl Iterator<Item = OsString>, container: Option<&Container>) -> u8 {
    let arguments = match Arguments::try_parse_from(line) {
        Ok(arguments) => arguments,
        Err(error) => return values::refused(&error),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let ended = runtime
        .context("start the runtime")
        .and_then(|runtime| runtime.block_on(run(arguments, container)));
    ended.unwrap_or_else(|error| {
        eprintln!("error: {}", one_line(&format!("{error:#}")));
        FAILURE
    })
}

async fn run(arguments: Arguments, container: Option<&Container>) -> Result<u8> {
    // Before anything that takes long: process 1 of a container ignores a signal that it does not catch.
    let mut signals = Signals::catch()?;
    logs::install(arguments.log_format)?;
    let limits = arguments.limits(container)?;
    let app = load(&arguments, container, limits.memory)?;
    // Bound before the component is started, which may touch its directories.
    let listener = listener::listen(arguments.listen, container.is_some())?;
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let served = serve(app, &limits, listener, async { drop(stopped.await) });
    let second_signal = async {
        let first = signals.next().await;
        let _ = stop.send(first);
        signals.next().await
    };
    let drained = tokio::select! {
        drained = served => drained?,
        signal = second_signal => return Ok(u8::try_from(128 + signal).unwrap_or(u8::MAX)),
    };
    match drained {
        Drained::Clean => Ok(SUCCESS),
        Drained::Cut(requests) => {
            anyhow::bail!(
                "{requests} requests were cut: not done after {:?} (--drain-timeout)",
                limits.drain_timeout
            )
        }
    }
}

fn load(arguments: &Arguments, container: Option<&Container>, memory: MemoryLimit) -> Result<App> {
    let mut overrides = arguments.overrides()?;
    let manifest = Manifest::read(&arguments.manifest)?;
    if let Some(container) = container {
        container.add_environment(&manifest, &mut overrides)?;
        container.refuse_cache(arguments.cache_dir.as_deref())?;
    }
    let engine = crate::engine::engine_for(memory)?;
    if let Some(container) = container {
        let entries = container.take_code();
        return App::load(manifest, &overrides, &engine, Code::Entries(&entries));
    }
    let directory = arguments.cache_dir.clone().or_else(default_cache);
    let cache = match directory {
        Some(directory) => Cache::open(&directory)?,
        None => None,
    };
    if cache.is_none() {
        tracing::warn!("compiled code is not kept: every start compiles");
    }
    let code = cache.as_ref().map_or(Code::Compiled, Code::Cached);
    App::load(manifest, &overrides, &engine, code)
}

fn default_cache() -> Option<PathBuf> {
    let absolute = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let caches = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(caches.join("preopen"))
}

impl Arguments {
    /// The limits, with room made for the connections.
    fn limits(&self, container: Option<&Container>) -> Result<Limits> {
        let default = Limits::default();
        let connections = match self.max_connections {
            Some(connections) => descriptors::make_room(connections)?,
            None => descriptors::make_room_up_to(default.connections)?,
        };
        let memory = match self.memory_limit {
            Some(bytes) => MemoryLimit::Fixed(bytes),
            None => container
                .and_then(Container::memory_limit)
                .unwrap_or(default.memory),
        };
        memory.check()?;
        Ok(Limits {
            memory,
            request_timeout: self.request_timeout,
            drain_timeout: self.drain_timeout,
            connections,
            header_timeout: self.header_timeout,
            idle_timeout: self.idle_timeout,
            body_timeout: self.body_timeout,
            header_size: self.max_header_size,
            access_log: self.access_log,
        })
    }

    fn overrides(&self) -> Result<Overrides> {
        let sources = values::unique("--source", &self.sources)?;
        let sources = sources
            .into_iter()
            .map(|(source, directory)| (source, directory.into()));
        Ok(Overrides {
            environment: values::unique("--env", &self.environment)?,
            replacements: BTreeMap::new(),
            sources: BTreeMap::from_iter(sources),
            authorities: self.authorities(),
        })
    }
}

impl Arguments {
    fn authorities(&self) -> Authorities {
        let directories = std::env::var_os("SSL_CERT_DIR");
        Authorities {
            more: self.ca_files.clone(),
            file: std::env::var_os("SSL_CERT_FILE").map(PathBuf::from),
            directories: directories
                .map_or(Vec::new(), |all| std::env::split_paths(&all).collect()),
        }
    }
}

fn one_line(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    lines.join("; ")
}
