//! The command's log: one line an event on stderr, for people or as JSON. The library only emits events.

use anyhow::{Context, Result, anyhow};
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people; in colours on a terminal.
    Human,
    /// One JSON object a line.
    Json,
}

/// wasmtime-wasi-http warns of every client that leaves in the middle of a body: clients could fill the log.
const DEFAULT: &str = "info,wasmtime_wasi_http=error";

/// Sends the process's events to stderr: those at info and above (`DEFAULT`), or what `RUST_LOG` asks for.
pub fn install(format: Format) -> Result<()> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(directives) => EnvFilter::try_new(&directives)
            .with_context(|| format!("RUST_LOG={directives:?} is not a log filter: try \"info\" or \"preopen_host=debug\""))?,
        Err(_) => EnvFilter::new(DEFAULT),
    };
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // A log that takes nothing, on a full disk say, must not end the host: this would print to it and panic.
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    match format {
        Format::Human => lines
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .try_init(),
        Format::Json => lines.json().try_init(),
    }
    .map_err(|error| anyhow!("install the logger: {error}"))
}
