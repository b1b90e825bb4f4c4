//! Runs a WASI command: a program with arguments, an environment, standard streams and an exit code.
//!
//! The shim uses it for `kubectl exec`: it opens the code on the node, forks into the container, and calls
//! [`Command::map`] and [`Command::run`] there, as the container's user. `world` describes what the command sees.
//!
//! Three worlds are supported: components that export `wasi:cli/run` 0.2 or 0.3, and core modules of preview 1, which
//! export `_start`.

mod world;

use crate::cache::Entry;
use crate::engine::Engine;
use crate::error::{Error, OrError};
use crate::state::State;
use anyhow::{Context, Result, anyhow, bail, ensure};
use wasmtime::component::{Component, Linker as ComponentLinker};
use wasmtime::{Linker, Module, Precompiled, Store};
use wasmtime_wasi::p1::{self, WasiP1Ctx};
use wasmtime_wasi::{I32Exit, p2, p3};

/// The exit code of a command that could not be run, as a shell reports it.
const CANNOT_RUN: i32 = 126;

/// The exit code of a command that trapped: 128 plus SIGABRT, like a native program that aborts.
const TRAPPED: i32 = 134;

/// The name of preview 1 among a core module's imports.
const PREVIEW1: &str = "wasi_snapshot_preview1";

/// The exported function of a core module that runs it.
const START: &str = "_start";

/// An epoch that is never reached, because a command may run as long as it likes.
const NEVER: u64 = u64::MAX / 2;

/// A command whose machine code is mapped.
pub struct Command {
    engine: wasmtime::Engine,
    code: Code,
}

/// Mapped code, by the world that the command was built for.
enum Code {
    Preview1(Module),
    Preview2(Component),
    Preview3(Component),
}

/// The arguments and the environment of a command.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Invocation {
    /// Its name, then its arguments.
    pub arguments: Vec<String>,
    /// Its whole environment.
    pub environment: Vec<(String, String)>,
}

impl Invocation {
    /// Returns an invocation. The first argument is the command's name.
    pub fn new(arguments: Vec<String>, environment: Vec<(String, String)>) -> Self {
        Self {
            arguments,
            environment,
        }
    }
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Command").finish_non_exhaustive()
    }
}

impl Command {
    /// Maps the code in `entry`.
    ///
    /// # Errors
    /// When the code cannot be mapped, or is not a command's.
    pub fn map(engine: &Engine, entry: &Entry) -> Result<Self, Error> {
        let unusable = |error| anyhow!("the code of the command cannot be mapped: {error:#}");
        // The header of the code says whether it is a module's or a component's.
        let detected = wasmtime::Engine::detect_precompiled_file(entry.path());
        match detected.map_err(unusable).or_error(Error::Cache)? {
            Some(Precompiled::Module) => {
                let module = entry.module(engine).map_err(unusable);
                Self::from_module(module.or_error(Error::Cache)?)
            }
            _ => {
                let component = entry.component(engine).map_err(unusable);
                Self::from_component(component.or_error(Error::Cache)?)
            }
        }
        .or_error(Error::Command)
    }

    fn from_module(module: Module) -> Result<Self> {
        ensure!(
            module.get_export(START).is_some(),
            "a WebAssembly module without {START}: it is a library, not a command"
        );
        Ok(Self {
            engine: module.engine().clone(),
            code: Code::Preview1(module),
        })
    }

    fn from_component(component: Component) -> Result<Self> {
        let engine = component.engine().clone();
        let component_type = component.component_type();
        let exports = |version: &str| {
            let mut exports = component_type.exports(&engine);
            exports.any(|(name, _)| name.starts_with(version))
        };
        let code = if exports("wasi:cli/run@0.3.") {
            Code::Preview3(component)
        } else if exports("wasi:cli/run@0.2.") {
            Code::Preview2(component)
        } else {
            bail!(
                "a WebAssembly component that exports no wasi:cli/run of 0.2 or 0.3: it is not a command"
            );
        };
        Ok(Self { engine, code })
    }

    /// Runs the command to its end, on the calling thread, with this process's standard streams, directories and
    /// network, and returns its exit code. If the command cannot be run, or traps, the reason is on standard error.
    pub fn run(&self, invocation: &Invocation) -> i32 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build();
        let ended = runtime
            .context("cannot start the runtime")
            .and_then(|runtime| runtime.block_on(self.call(invocation)));
        match ended {
            Ok(code) => code,
            Err(error) => {
                eprintln!("error: {error:#}");
                CANNOT_RUN
            }
        }
    }

    async fn call(&self, invocation: &Invocation) -> Result<i32> {
        let ended = match &self.code {
            Code::Preview1(module) => self.call_module(module, invocation).await,
            Code::Preview2(component) => self.call_component(component, invocation).await,
            Code::Preview3(component) => self.call_concurrent(component, invocation).await,
        };
        match ended? {
            Ok(code) => Ok(code),
            Err(error) => match error.downcast_ref::<I32Exit>() {
                Some(exit) => Ok(exit.0),
                None => {
                    eprintln!("error: the command trapped: {:#}", error.root_cause());
                    Ok(TRAPPED)
                }
            },
        }
    }

    async fn call_module(&self, module: &Module, invocation: &Invocation) -> Result<Ended> {
        let mut linker: Linker<WasiP1Ctx> = Linker::new(&self.engine);
        p1::add_to_linker_async(&mut linker, |state| state).map_err(not_started)?;
        // wasmtime's own function traps if the code is above 125.
        linker.allow_shadowing(true);
        linker
            .func_wrap(PREVIEW1, "proc_exit", |code: i32| -> wasmtime::Result<()> {
                Err(I32Exit(code & 0xff).into())
            })
            .map_err(not_started)?;
        let mut store = self.store(world::builder(invocation).build_p1());
        let instance = linker.instantiate_async(&mut store, module).await;
        let instance = instance.map_err(not_started)?;
        let start = instance
            .get_typed_func::<(), ()>(&mut store, START)
            .map_err(not_started)?;
        Ok(start.call_async(&mut store, ()).await.map(|()| 0))
    }

    async fn call_component(
        &self,
        component: &Component,
        invocation: &Invocation,
    ) -> Result<Ended> {
        let mut linker: ComponentLinker<State> = ComponentLinker::new(&self.engine);
        p2::add_to_linker_async(&mut linker).map_err(not_started)?;
        let mut store = self.store(State::of_command(world::builder(invocation).build()));
        let command = p2::bindings::Command::instantiate_async(&mut store, component, &linker);
        let command = command.await.map_err(not_started)?;
        let ended = command.wasi_cli_run().call_run(&mut store).await;
        Ok(ended.map(|result| i32::from(result.is_err())))
    }

    async fn call_concurrent(
        &self,
        component: &Component,
        invocation: &Invocation,
    ) -> Result<Ended> {
        let mut linker: ComponentLinker<State> = ComponentLinker::new(&self.engine);
        // Rust's standard library imports 0.2 in components of 0.3 too.
        p2::add_to_linker_async(&mut linker).map_err(not_started)?;
        p3::add_to_linker(&mut linker).map_err(not_started)?;
        let mut store = self.store(State::of_command(world::builder(invocation).build()));
        let command = p3::bindings::Command::instantiate_async(&mut store, component, &linker);
        let command = command.await.map_err(not_started)?;
        let ended = store
            .run_concurrent(async move |store| command.wasi_cli_run().call_run(store).await)
            .await
            .and_then(|ended| ended);
        Ok(ended.map(|result| i32::from(result.is_err())))
    }

    fn store<T: 'static>(&self, data: T) -> Store<T> {
        let mut store = Store::new(&self.engine, data);
        store.set_epoch_deadline(NEVER);
        store
    }
}

/// The end of a command that was started: its exit code, or the trap.
type Ended = wasmtime::Result<i32>;

/// Returns the error of a command that could not be started.
fn not_started(error: wasmtime::Error) -> anyhow::Error {
    anyhow!("the command does not start: {error:#}")
}
