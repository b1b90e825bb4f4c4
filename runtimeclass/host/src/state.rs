//! What one instance of a component owns on the host's side: its WASI world, its permissions, its memory ceiling.

use crate::app::Component;
use crate::memory::{Budget, Memory};
use crate::preopens;
use crate::send::Outbound;
use crate::settings::MemoryLimit;
use crate::variable_interfaces::ComponentVariables;
use anyhow::{Result, anyhow};
use std::sync::Arc;
use wasmtime_wasi::{FsPerms, ResourceTable, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

/// The data of a store.
pub(crate) struct State {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outbound: Outbound,
    pub(crate) variables: ComponentVariables,
    table: ResourceTable,
    pub(crate) memory: Memory,
}

impl State {
    /// A fresh world: the preopened directories, the environment, stdout and stderr; no sockets, nothing inherited.
    pub(crate) fn new(
        component: &Component,
        budget: &Arc<Budget>,
        outbound: Outbound,
    ) -> Result<Self> {
        let mut wasi = WasiCtx::builder();
        wasi.inherit_stdout()
            .inherit_stderr()
            .allow_tcp(false)
            .allow_udp(false);
        for (name, value) in &component.environment {
            wasi.env(name, value);
        }
        preopens::check(&component.preopens)?;
        for preopen in &component.preopens {
            // Always asked for: a read-only mount is the kernel's to enforce.
            wasi.preopened_dir(&preopen.host, &preopen.guest, FsPerms::ReadWrite)
                .map_err(|error| {
                    anyhow!("{}: open the directory: {error:#}", preopen.host.display())
                })?;
        }
        Ok(Self {
            variables: component.variables.clone(),
            ..Self::of(wasi.build(), outbound, budget.share())
        })
    }

    /// Returns the state of a command: no requests, no memory ceiling of its own. Commands share this type with served
    /// components because each type of state has its own copy of all of WASI in the binary.
    pub(crate) fn of_command(wasi: WasiCtx) -> Self {
        let unlimited = Budget::new(MemoryLimit::Fixed(usize::MAX));
        Self::of(wasi, Outbound::none(), unlimited.share())
    }

    fn of(wasi: WasiCtx, outbound: Outbound, memory: Memory) -> Self {
        Self {
            wasi,
            http: WasiHttpCtx::new(),
            outbound,
            variables: ComponentVariables::default(),
            table: ResourceTable::new(),
            memory,
        }
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.outbound,
        }
    }
}
