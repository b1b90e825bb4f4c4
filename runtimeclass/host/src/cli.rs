//! The command line of `preopen`: its options, its help, and what it does.
//!
//! All input is checked before the component's directories are touched. An error is one line on stderr, `error: …`. A
//! malformed command line exits with 2, every other error with 1.
//!
//! A container runs the same command: its arguments are the command line, and its environment is the process's.
//! [`Container`] has the differences.

mod container;
mod listener;
mod values;

pub use container::Container;

use crate::cache::Cache;
use crate::error::Error;
use crate::host::{Host, HostBuilder};
use crate::limits::{Limits, MemoryLimit};
use crate::logs::{self, Format};
use crate::manifest::Manifest;
use crate::server::Drained;
use crate::signals::Signals;
use crate::stdio;
use crate::trust::Authorities;
use anyhow::{Context, Result};
use clap::Parser;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

const SUCCESS: u8 = 0;
const FAILURE: u8 = 1;

/// How long the command waits at its end until its output is read.
const FLUSH: Duration = Duration::from_secs(1);

/// Serves the HTTP components of a Spin manifest with their files mounted in place.
///
/// Each component is compiled once, and its code is kept. One warm instance of a WASI 0.3 component answers all requests;
/// a WASI 0.2 component gets a new instance for each request. A component sees the directories that the manifest's `files`
/// lists (writable if the file system is), the environment of the manifest and of --env, and nothing else of this machine.
#[derive(Debug, Parser)]
#[command(name = "preopen", version, after_help = EXAMPLES)]
struct Arguments {
    /// The manifest: spin.toml, version 2. Paths in it are relative to its directory.
    #[arg(default_value = "spin.toml")]
    manifest: PathBuf,

    /// The address to listen on, IP:PORT. Port 0 takes a free port, which the log shows. [::]:PORT takes IPv4 connections
    /// too. [default: 127.0.0.1:5000; in a container [::]:5000, or 0.0.0.0:5000 if the node has no IPv6]
    #[arg(long, value_name = "ADDR", env = "SPIN_HTTP_LISTEN_ADDR")]
    listen: Option<SocketAddr>,

    /// An environment variable for every component. It wins over the manifest's. HOSTNAME is the machine's name unless set.
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = values::assignment)]
    environment: Vec<(String, String)>,

    /// Mounts the directory DIR for the manifest's `files` entry whose source is SOURCE.
    #[arg(long = "source", value_name = "SOURCE=DIR", value_parser = values::assignment)]
    sources: Vec<(String, String)>,

    /// A PEM file of certificate authorities that outbound requests trust in addition to the usual ones: a built-in list,
    /// or the certificates in SSL_CERT_FILE and SSL_CERT_DIR.
    #[arg(long = "ca-file", value_name = "FILE")]
    ca_files: Vec<PathBuf>,

    /// The memory that all instances may have together: bytes, or with a unit: KiB, MiB, GiB (KB, MB, GB are powers of ten).
    /// [default: 128MiB; in a container less, so that the host fits beside it into the container's limit]
    #[arg(long, value_name = "SIZE", value_parser = values::memory)]
    memory_limit: Option<usize>,

    /// How long a component may take to begin a response; then the client gets 504. Other requests of the instance go on.
    /// The instance is replaced only if it does not react. Units: ms, s, m, h.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = values::duration)]
    request_timeout: Duration,

    /// How long the host waits for requests in flight after SIGTERM or SIGINT. A second signal ends it at once.
    #[arg(long, value_name = "DURATION", default_value = "25s", value_parser = values::duration)]
    drain_timeout: Duration,

    /// Connections at once. One more closes the connection that has been idle longest, or waits until one is idle.
    /// Each takes one of the files that `ulimit -n` allows. [default: 1024, or fewer if fewer fit]
    #[arg(long, value_name = "N", value_parser = values::count)]
    max_connections: Option<usize>,

    /// How long a client may take to send the head of a request.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = values::duration)]
    header_timeout: Duration,

    /// How long a client may keep a connection idle between two requests. Keep it above the idle limit of the proxy in
    /// front, so that the proxy closes first.
    #[arg(long, value_name = "DURATION", default_value = "620s", value_parser = values::duration)]
    idle_timeout: Duration,

    /// How long a client may pause in the middle of a request's body.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = values::duration)]
    body_timeout: Duration,

    /// The largest head of a request; a larger one gets 431. Units as for --memory-limit.
    #[arg(long, value_name = "SIZE", default_value = "32KiB", value_parser = values::header)]
    max_header_size: usize,

    /// Requests PATH once at the start, so that a component can repair what a crash left behind before its first visitor.
    /// A status other than 2xx is logged. The last PATH counts. [default: no request]
    #[arg(long, value_name = "PATH", value_parser = values::path, overrides_with = "startup_check")]
    startup_check: Option<String>,

    /// Where compiled code is kept. The directory must belong to you, and nobody else may write to it. Refused in a
    /// container. [default: $XDG_CACHE_HOME/preopen or ~/.cache/preopen]
    #[arg(long, value_name = "DIR")]
    cache_dir: Option<PathBuf>,

    /// The format of log lines on stderr. RUST_LOG chooses which events are logged (default: info).
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    log_format: Format,

    /// Logs one line for every request: method, path, status, milliseconds until the response began, peer.
    #[arg(long)]
    access_log: bool,
}

const EXAMPLES: &str = "\
Examples:
  preopen                                     serve ./spin.toml on 127.0.0.1:5000
  preopen --listen 0.0.0.0:8080 app/spin.toml
  preopen --source persistent=/var/lib/visits --env POD_NAME=visits-0
  preopen --memory-limit 64MiB --request-timeout 5s --log-format json --access-log

Exit codes:
  0        it was stopped, and every request was answered
  1        an error, or requests were cut
  2        the command line is malformed
  128 + N  a second signal stopped it, with the number N";

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
        .context("cannot start the runtime")
        .and_then(|runtime| runtime.block_on(run(arguments, container)));
    let code = ended.unwrap_or_else(|error| {
        report(&error);
        FAILURE
    });
    stdio::flush(FLUSH);
    code
}

/// Writes why the command ends to stderr, after the log.
fn report(error: &anyhow::Error) {
    let line = format!("error: {}\n", one_line(&format!("{error:#}")));
    match stdio::stderr() {
        Ok(stderr) => stderr.line(line.as_bytes()),
        Err(_) => eprint!("{line}"),
    }
}

async fn run(arguments: Arguments, container: Option<&Container>) -> Result<u8> {
    // Before anything that takes long: process 1 of a container ignores a signal that it does not catch.
    let mut signals = Signals::catch()?;
    logs::install(arguments.log_format)?;
    let host = load(&arguments, container)?;
    // Bound before the components are started, which may touch their directories.
    let listener = listener::listen(arguments.listen, container.is_some())?;
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let served = host.serve(listener, async { drop(stopped.await) });
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
                arguments.drain_timeout
            )
        }
    }
}

fn load(arguments: &Arguments, container: Option<&Container>) -> Result<Host> {
    let manifest = Manifest::read(&arguments.manifest)?;
    let builder = match container {
        Some(container) => {
            container.refuse_cache(arguments.cache_dir.as_deref())?;
            container.builder(manifest)?
        }
        None => match arguments.cache()? {
            Some(cache) => Host::builder(manifest).cache(cache),
            None => {
                tracing::warn!("compiled code is not kept: every start compiles");
                Host::builder(manifest)
            }
        },
    };
    let builder = builder.limits(arguments.limits(container));
    Ok(arguments.apply(builder)?.load()?)
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
    fn cache(&self) -> Result<Option<Cache>, Error> {
        match self.cache_dir.clone().or_else(default_cache) {
            Some(directory) => Cache::open(&directory),
            None => Ok(None),
        }
    }

    fn limits(&self, container: Option<&Container>) -> Limits {
        let memory = match self.memory_limit {
            Some(bytes) => Some(MemoryLimit::Fixed(bytes)),
            None => container.and_then(Container::memory_limit),
        };
        Limits {
            memory: memory.unwrap_or(Limits::default().memory),
            request_timeout: self.request_timeout,
            drain_timeout: self.drain_timeout,
            connections: self.max_connections,
            header_timeout: self.header_timeout,
            idle_timeout: self.idle_timeout,
            body_timeout: self.body_timeout,
            header_size: self.max_header_size,
        }
    }

    fn apply(&self, mut builder: HostBuilder) -> Result<HostBuilder> {
        for (name, value) in values::unique("--env", &self.environment)? {
            builder = builder.environment(name, value);
        }
        for (source, directory) in values::unique("--source", &self.sources)? {
            builder = builder.source(source, directory);
        }
        if let Some(path) = &self.startup_check {
            builder = builder.startup_check(path);
        }
        Ok(builder
            .authorities(self.authorities())
            .access_log(self.access_log))
    }

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
