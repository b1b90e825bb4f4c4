//! The host's side of one instance: its WASI world, its outbound requests and its share of memory.

use crate::grants::Grants;
use crate::limits::MemoryLimit;
use crate::memory::{Budget, Memory};
use crate::preopens;
use crate::send::Outbound;
use crate::stdio;
use crate::variable_interfaces::{ComponentVariables, VariablesView};
use anyhow::{Result, anyhow};
use std::sync::Arc;
use wasmtime_wasi::{FsPerms, ResourceTable, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

/// The data of a store.
pub(crate) struct State {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outbound: Outbound,
    variables: ComponentVariables,
    table: ResourceTable,
    pub(crate) memory: Memory,
}

impl State {
    /// Returns a fresh world: the preopened directories, the environment, stdout and stderr. It has no sockets, and inherits
    /// nothing else from this process.
    pub(crate) fn new(grants: &Grants, budget: &Arc<Budget>, outbound: Outbound) -> Result<Self> {
        let mut wasi = WasiCtx::builder();
        wasi.stdout(stdio::stdout()?)
            .stderr(stdio::stderr()?)
            .allow_tcp(false)
            .allow_udp(false);
        for (name, value) in &grants.environment {
            wasi.env(name, value);
        }
        preopens::check(&grants.preopens)?;
        for preopen in &grants.preopens {
            // Always writable here, because the kernel enforces read-only mounts.
            wasi.preopened_dir(&preopen.host, &preopen.guest, FsPerms::ReadWrite)
                .map_err(|error| {
                    anyhow!("{}: open the directory: {error:#}", preopen.host.display())
                })?;
        }
        Ok(Self {
            variables: grants.variables.clone(),
            ..Self::of(wasi.build(), outbound, budget.share())
        })
    }

    /// Returns the state of a command: no outbound requests through the host, and no memory limit of its own. Commands share
    /// this type with served components because the binary has a copy of all of WASI for each type of state.
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

impl VariablesView for State {
    fn variables(&self) -> &ComponentVariables {
        &self.variables
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
