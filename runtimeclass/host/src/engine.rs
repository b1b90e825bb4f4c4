//! The one configuration of wasmtime that this host uses, and the clock that interrupts a component.
//!
//! The configuration shapes the compiled code. So code comes only from an [`Engine`] or a [`Compiler`] of this module,
//! as [`MachineCode`], and [`crate::cache`] makes the configuration part of an entry's name.

use crate::error::{Error, OrError};
use crate::limits::MemoryLimit;
use crate::wasm::CORE_MODULE;
use anyhow::{Context, Result, anyhow};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use wasmtime::Config;

/// Bytes after a memory that are never accessible. An access at an offset below this needs no bounds check of its own.
const GUARD: u64 = 64 << 10;

/// Runs components and commands, and compiles them.
#[derive(Clone)]
pub struct Engine(wasmtime::Engine);

impl Engine {
    /// Returns an engine whose components can be interrupted.
    ///
    /// # Errors
    /// When wasmtime cannot be set up.
    pub fn new() -> Result<Self, Error> {
        set_up(&config()).or_error(Error::Setup).map(Self)
    }

    /// Returns an engine for instances with this limit of memory.
    ///
    /// By default wasmtime reserves 4 GiB of address space for each memory, so that no access needs a bounds check; that
    /// saves a twentieth of a visit's processor time. If the process's address space is limited (`ulimit -v`), an
    /// instance reserves its limit instead. A smaller reservation would be copied when the memory grows, and both copies
    /// would exist for a moment: possibly more than a container may have.
    pub(crate) fn for_memory(limit: MemoryLimit) -> Result<Self> {
        let mut config = config();
        let address_space = getrlimit(Resource::RLIMIT_AS);
        let address_space =
            address_space.context("cannot read the limit of address space (ulimit -v)")?;
        if address_space.0 != RLIM_INFINITY {
            config.memory_reservation(0);
            config.memory_reservation_for_growth(limit.highest() as u64);
            config.memory_guard_size(GUARD);
        }
        set_up(&config).map(Self)
    }

    /// Compiles `wasm`, a component or a core module.
    ///
    /// # Errors
    /// When `wasm` is neither.
    pub fn compile(&self, wasm: &[u8]) -> Result<MachineCode, Error> {
        compile(&self.0, wasm)
    }

    /// Checks that this engine can run a component's code.
    ///
    /// # Errors
    /// When the code was compiled for another processor or another configuration.
    pub fn check(&self, code: &MachineCode) -> Result<(), Error> {
        // SAFETY: the bytes are the unchanged result of this process's compiler.
        let component = unsafe { wasmtime::component::Component::deserialize(&self.0, &code.0) };
        component
            .map_err(|error| anyhow!("the engine cannot load the code: {error:#}"))
            .or_error(Error::Cache)
            .map(drop)
    }

    /// Returns wasmtime's engine.
    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.0
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

/// Compiles ahead of time for other machines.
pub struct Compiler(wasmtime::Engine);

impl Compiler {
    /// Returns a compiler whose code an [`Engine`] runs on every processor of this target triple.
    ///
    /// The code lacks what only describes it: the positions in the wasm that a backtrace names, and the tables for native
    /// unwinders. Together they are a ninth of the code, and wasmtime needs neither.
    ///
    /// # Errors
    /// When wasmtime has no such target.
    pub fn for_target(triple: &str) -> Result<Self, Error> {
        let mut config = config();
        config
            .target(triple)
            .map_err(|error| anyhow!("{triple}: no such target: {error:#}"))
            .or_error(Error::Setup)?;
        config.generate_address_map(false);
        config.native_unwind_info(false);
        // A backtrace needs the addresses.
        config.wasm_backtrace_max_frames(None);
        set_up(&config).or_error(Error::Setup).map(Self)
    }

    /// Compiles `wasm`, a component or a core module.
    ///
    /// # Errors
    /// When `wasm` is neither.
    pub fn compile(&self, wasm: &[u8]) -> Result<MachineCode, Error> {
        compile(&self.0, wasm)
    }
}

impl std::fmt::Debug for Compiler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compiler").finish_non_exhaustive()
    }
}

/// Compiled code, for [`Cache::keep`](crate::cache::Cache::keep).
#[derive(Debug)]
pub struct MachineCode(Vec<u8>);

impl MachineCode {
    /// Returns the bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

fn compile(engine: &wasmtime::Engine, wasm: &[u8]) -> Result<MachineCode, Error> {
    let code = if wasm.starts_with(CORE_MODULE) {
        let code = engine.precompile_module(wasm);
        code.map_err(|error| anyhow!("not a valid module: {error:#}"))
    } else {
        let code = engine.precompile_component(wasm);
        code.map_err(|error| anyhow!("not a valid component: {error:#}"))
    };
    code.or_error(Error::Component).map(MachineCode)
}

fn set_up(config: &Config) -> Result<wasmtime::Engine> {
    wasmtime::Engine::new(config).map_err(|error| anyhow!("cannot set up wasmtime: {error:#}"))
}

fn config() -> Config {
    let mut config = Config::new();
    config.wasm_component_model_async(true);
    config.epoch_interruption(true);
    // There is one instance, and the first copy of its data is small: mapping the data from the code's file saves nothing.
    config.memory_init_cow(false);
    config
}

/// The longest time that a computing component keeps the thread that it shares with the connections.
const SLICE: Duration = Duration::from_millis(10);

/// The longest time until it is noticed that a component computes.
const NOTICE: Duration = Duration::from_millis(100);

/// Returns the time between two checks of a time limit: a twentieth of the limit, within bounds. More often would cost
/// processor time, less often would miss a short limit.
pub(crate) fn tick(limit: Duration) -> Duration {
    (limit / 20).clamp(Duration::from_millis(10), Duration::from_millis(500))
}

/// Advances the engine's epoch at every tick until it is dropped. It is a thread because a component that computes for
/// ever never lets the timers of its runtime run.
#[derive(Debug)]
pub(crate) struct Ticker {
    _stop: mpsc::Sender<()>,
}

impl Ticker {
    /// Starts the thread. It ticks at least every `every`, and every [`SLICE`] while `running` is set at a tick: then a
    /// component may be computing.
    pub(crate) fn start(
        engine: &wasmtime::Engine,
        every: Duration,
        running: Arc<AtomicBool>,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::channel::<()>();
        let engine = engine.clone();
        let pause = move || match running.load(Ordering::Relaxed) {
            true => SLICE.min(every),
            false => NOTICE.min(every),
        };
        std::thread::Builder::new()
            .name("epoch".into())
            .spawn(move || {
                while stopped.recv_timeout(pause()) == Err(mpsc::RecvTimeoutError::Timeout) {
                    engine.increment_epoch();
                }
            })?;
        Ok(Self { _stop: stop })
    }
}
