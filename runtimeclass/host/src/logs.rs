//! The command's log: one line an event on stderr, for people or as JSON. The library only emits events.

use anyhow::{Context, Result, anyhow};
use std::io::IsTerminal;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

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

/// Writes the process's events to stderr: those at level info and above (`DEFAULT`), or those that `RUST_LOG` selects.
///
/// The filter is [`Targets`], which selects by target and level. `EnvFilter` also selects by span and field, and the
/// regular expressions that it needs for that take 20 s to compile on two cores.
pub fn install(format: Format) -> Result<()> {
    let filter: Targets = match std::env::var("RUST_LOG") {
        Ok(directives) => directives.parse().with_context(|| format!(
            "RUST_LOG={directives:?} is not a log filter: try \"info\" or \"preopen_host=debug\""
        ))?,
        Err(_) => DEFAULT.parse().context("the default log filter")?,
    };
    let lines = tracing_subscriber::fmt::layer()
        // A log that takes nothing, on a full disk say, must not end the host: this would print to it and panic.
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry();
    match format {
        Format::Human => registry
            .with(
                lines
                    .with_ansi(std::io::stderr().is_terminal())
                    .with_target(false)
                    .with_filter(filter),
            )
            .try_init(),
        Format::Json => registry.with(lines.json().with_filter(filter)).try_init(),
    }
    .map_err(|error| anyhow!("install the logger: {error}"))
}
