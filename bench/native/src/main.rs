//! `peer-native MODE ADDRESS DIRECTORY`: native servers that `cargo xtask bench` compares the counter with. They serve
//! until SIGTERM.
//!
//! hyper and one thread, as in the host. A second thread waits for the disk only. No server limits its clients, so each
//! shows what HTTP and the disk cost alone.
//!
//! - [`server`]: the connections
//! - [`service`]: the response to a request in each mode
//! - [`platform`], [`directory`]: the traits of the counter's protocol on Linux
//! - [`fsync`]: one fsync for each visit

mod directory;
mod fsync;
mod platform;
mod server;
mod service;

use anyhow::{Context, Result};
use clap::Parser;
use service::{Mode, Service};
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::net::TcpListener;
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;

/// The host's allocator, so that a comparison with the host does not compare allocators.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Serve HTTP/1.1 natively, to compare the counter with.
#[derive(Parser)]
struct Options {
    /// What to serve
    #[arg(value_enum)]
    mode: Mode,
    /// The address to listen on, such as 127.0.0.1:5000
    address: SocketAddr,
    /// The directory that holds the count
    directory: PathBuf,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start tokio")?;
    LocalSet::new().block_on(&runtime, run(options))
}

/// Serves until SIGTERM. Requests in flight are dropped.
async fn run(options: Options) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
    let service = Service::new(options.mode, &options.directory)?;
    let listener = TcpListener::bind(options.address)
        .await
        .with_context(|| format!("cannot listen on {}", options.address))?;
    tokio::select! {
        served = server::serve(listener, service) => served,
        _ = terminate.recv() => Ok(()),
    }
}
