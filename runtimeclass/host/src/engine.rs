//! The one way this host configures wasmtime, and the clock that lets it interrupt a component.
//!
//! The configuration shapes the compiled code: whoever compiles ahead of time (an image build, the shim) must use
//! [`engine`] too, and [`crate::cache`] makes it part of an entry's name.

use crate::settings::MemoryLimit;
use anyhow::{Result, anyhow};
use rustix::process::{Resource, getrlimit};
use std::sync::mpsc;
use std::time::Duration;
use wasmtime::{Config, Engine};

/// Bytes after a memory that are never accessible: an access of a field needs no check of its own below them.
const GUARD: u64 = 64 << 10;

/// Returns an engine for components that can be interrupted.
pub fn engine() -> Result<Engine> {
    set_up(&config())
}

/// Returns an engine for instances that may have so much memory.
///
/// By default wasmtime reserves 4 GiB of address space for each memory, so that no access needs a check of bounds; a
/// visit costs a twentieth less processor time by that. If the process's address space is limited (`ulimit -v`), each
/// instance reserves what it may have instead. With less, a memory that grows would be copied to a larger place, and
/// would be there twice while it is: that could be more than a container may have.
pub fn engine_for(memory: MemoryLimit) -> Result<Engine> {
    let mut config = config();
    if getrlimit(Resource::As).current.is_some() {
        config.memory_reservation(0);
        config.memory_reservation_for_growth(memory.highest() as u64);
        config.memory_guard_size(GUARD);
    }
    set_up(&config)
}

/// Returns an engine that compiles ahead of time what the engines of [`engine`] run, for all processors of this target
/// triple and not only for this machine's. It leaves out what only describes the code: the positions in the wasm that a
/// backtrace names, and the tables for native unwinders, a ninth of the code together. Wasmtime itself needs neither.
pub fn compiler_for(triple: &str) -> Result<Engine> {
    let mut config = config();
    config
        .target(triple)
        .map_err(|error| anyhow!("{triple}: no such target: {error:#}"))?;
    config.generate_address_map(false);
    config.native_unwind_info(false);
    // These need the addresses.
    config.wasm_backtrace_max_frames(None);
    set_up(&config)
}

fn set_up(config: &Config) -> Result<Engine> {
    Engine::new(config).map_err(|error| anyhow!("set up wasmtime: {error:#}"))
}

fn config() -> Config {
    let mut config = Config::new();
    config.wasm_component_model_async(true);
    config.epoch_interruption(true);
    // There is one instance, and its first copy of its data is small: to map it from the code's file gains nothing.
    config.memory_init_cow(false);
    config
}

/// How often the time limit is looked at: late by a twentieth of it, but neither so often that it costs nor so
/// seldom that a short limit is missed.
pub(crate) fn tick(limit: Duration) -> Duration {
    (limit / 20).clamp(Duration::from_millis(10), Duration::from_millis(500))
}

/// Advances the engine's epoch at every tick until it is dropped. A thread, not a timer of the runtime that a
/// component runs on: a component that computes for ever never lets that runtime's timers run.
#[derive(Debug)]
pub(crate) struct Ticker {
    _stop: mpsc::Sender<()>,
}

impl Ticker {
    pub(crate) fn start(engine: &Engine, every: Duration) -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::channel::<()>();
        let engine = engine.clone();
        std::thread::Builder::new()
            .name("epoch".into())
            .spawn(move || {
                while stopped.recv_timeout(every) == Err(mpsc::RecvTimeoutError::Timeout) {
                    engine.increment_epoch();
                }
            })?;
        Ok(Self { _stop: stop })
    }
}
