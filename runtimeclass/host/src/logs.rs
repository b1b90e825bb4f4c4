//! The command's log: one line per event on stderr, for people or as JSON. The library only emits events.

use crate::error::{Error, OrError};
use crate::stdio;
use anyhow::{Context, Result, anyhow};
use std::io::IsTerminal;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Format {
    /// For people, with colours on a terminal
    Human,
    /// One JSON object per line
    Json,
}

/// The default filter. wasmtime-wasi-http warns about every client that leaves in the middle of a body, so clients
/// could fill the log.
const DEFAULT: &str = "info,wasmtime_wasi_http=error";

/// Writes the process's events to stderr. `RUST_LOG` selects them; the default is info and above (`DEFAULT`).
///
/// The filter is [`Targets`], which selects by target and level. `EnvFilter` also selects by span and field, and the
/// regular expressions that it needs for that take 20 s to compile on two cores.
///
/// # Errors
/// If `RUST_LOG` is malformed, or the process has a logger.
pub fn install(format: Format) -> Result<(), Error> {
    subscribe(format).or_error(Error::Setup)
}

fn subscribe(format: Format) -> Result<()> {
    let filter: Targets = match std::env::var("RUST_LOG") {
        Ok(directives) => directives.parse().with_context(|| format!(
            "RUST_LOG={directives:?} is not a log filter: use for example \"info\" or \"preopen_host=debug\""
        ))?,
        Err(_) => DEFAULT.parse().context("the default log filter")?,
    };
    let stderr = stdio::stderr()?;
    let lines = tracing_subscriber::fmt::layer().with_writer(move || stderr);
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
    .map_err(|error| anyhow!("cannot install the logger: {error}"))
}
