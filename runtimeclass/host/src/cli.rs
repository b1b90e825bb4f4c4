//! The command line of `preopen`: what it takes, what it teaches, and what it does with it.
//!
//! Everything that can be wrong with what was given is found before the component's directories are touched, and is
//! one line on stderr: `error: …`. A malformed command line exits with 2, everything else with 1.

mod values;

use crate::app::{App, Overrides};
use crate::cache::Cache;
use crate::descriptors;
use crate::logs::{self, Format};
use crate::manifest::Manifest;
use crate::server::{Drained, serve};
use crate::settings::Limits;
use crate::signals::Signals;
use anyhow::{Context, Result};
use clap::Parser;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::net::TcpListener;

/// Serves the HTTP component of a Spin manifest, with its files mounted in place.
///
/// The component is compiled once and kept compiled; one warm instance of it answers all requests. It sees the
/// directories that the manifest's `files` names, writable where the file system is, the environment that the
/// manifest and --env give, and nothing else of this machine.
#[derive(Debug, Parser)]
#[command(name = "preopen", version, after_help = EXAMPLES)]
struct Arguments {
    /// The manifest: spin.toml, version 2. Paths in it are relative to its directory.
    #[arg(default_value = "spin.toml")]
    manifest: PathBuf,

    /// The address to listen on, IP:PORT. Port 0 takes a free one; the log says which.
    #[arg(
        long,
        value_name = "ADDR",
        env = "SPIN_HTTP_LISTEN_ADDR",
        default_value = "127.0.0.1:5000"
    )]
    listen: SocketAddr,

    /// An environment variable for the component, over the manifest's. HOSTNAME is the machine's name unless given.
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = values::assignment)]
    environment: Vec<(String, String)>,

    /// The directory DIR stands behind the `files` entry of the manifest whose source is SOURCE.
    #[arg(long = "source", value_name = "SOURCE=DIR", value_parser = values::assignment)]
    sources: Vec<(String, String)>,

    /// The memory the component may have: bytes, or with a unit: KiB, MiB, GiB (KB, MB, GB are powers of ten).
    #[arg(long, value_name = "SIZE", default_value = "128MiB", value_parser = values::memory)]
    memory_limit: usize,

    /// How long the component may take to begin its answer. Beyond it the instance is stopped, with every request it
    /// holds, and a new one takes over: be generous. Units: ms, s, m, h.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = values::duration)]
    request_timeout: Duration,

    /// How long SIGTERM or SIGINT wait for requests in flight. A second signal ends at once.
    #[arg(long, value_name = "DURATION", default_value = "25s", value_parser = values::duration)]
    drain_timeout: Duration,

    /// Connections at once; more wait until one ends. Each takes one of the files that `ulimit -n` allows.
    #[arg(long, value_name = "N", default_value = "1024", value_parser = values::count)]
    max_connections: usize,

    /// How long a client may take to send the head of a request, or keep a connection idle.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = values::duration)]
    header_timeout: Duration,

    /// How long a client may pause in the middle of a request's body.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = values::duration)]
    body_timeout: Duration,

    /// The size of a request's head, at most; 431 beyond it. Units as for --memory-limit.
    #[arg(long, value_name = "SIZE", default_value = "32KiB", value_parser = values::header)]
    max_header_size: usize,

    /// Where compiled code is kept. It must belong to you, and nobody else may write it.
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

/// Runs the command.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return values::refused(&error),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let ended = runtime
        .context("start the runtime")
        .and_then(|runtime| runtime.block_on(run(arguments)));
    match ended {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", one_line(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<ExitCode> {
    // Before anything that takes long: process 1 of a container ignores a signal that it does not catch.
    let mut signals = Signals::catch()?;
    logs::install(arguments.log_format)?;
    let limits = arguments.limits();
    descriptors::make_room(limits.connections)?;
    let app = load(&arguments)?;
    // Bound before the component is started, which may touch its directories.
    let listener = TcpListener::bind(arguments.listen)
        .await
        .with_context(|| format!("cannot listen on {} (--listen)", arguments.listen))?;
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let served = serve(app, &limits, listener, async { drop(stopped.await) });
    let second_signal = async {
        let first = signals.next().await;
        let _ = stop.send(first);
        signals.next().await
    };
    let drained = tokio::select! {
        drained = served => drained?,
        signal = second_signal => return Ok(ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX))),
    };
    match drained {
        Drained::Clean => Ok(ExitCode::SUCCESS),
        Drained::Cut(requests) => {
            anyhow::bail!(
                "{requests} requests were cut: not done after {:?} (--drain-timeout)",
                limits.drain_timeout
            )
        }
    }
}

fn load(arguments: &Arguments) -> Result<App> {
    let overrides = arguments.overrides()?;
    let manifest = Manifest::read(&arguments.manifest)?;
    let engine = crate::engine::engine()?;
    let cache = match arguments.cache_dir.clone().or_else(default_cache) {
        Some(directory) => Cache::open(&directory)?,
        None => {
            tracing::warn!("no cache for compiled code: neither --cache-dir nor HOME is given");
            None
        }
    };
    App::load(manifest, &overrides, &engine, cache.as_ref())
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
    fn limits(&self) -> Limits {
        Limits {
            memory: self.memory_limit,
            request_timeout: self.request_timeout,
            drain_timeout: self.drain_timeout,
            connections: self.max_connections,
            header_timeout: self.header_timeout,
            body_timeout: self.body_timeout,
            header_size: self.max_header_size,
            access_log: self.access_log,
        }
    }

    fn overrides(&self) -> Result<Overrides> {
        let sources = values::unique("--source", &self.sources)?;
        let sources = sources
            .into_iter()
            .map(|(source, directory)| (source, directory.into()));
        Ok(Overrides {
            environment: values::unique("--env", &self.environment)?,
            sources: BTreeMap::from_iter(sources),
        })
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
