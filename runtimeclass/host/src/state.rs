//! What one instance of a component owns on the host's side: its WASI world, its permissions, its memory ceiling.

use crate::app::Component;
use crate::outbound::Allowed;
use crate::preopens;
use crate::settings::MemoryLimit;
use anyhow::{Result, anyhow};
use wasmtime::{ResourceLimiter, format_err};
use wasmtime_wasi::{FsPerms, ResourceTable, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

/// The data of a store.
pub(crate) struct State {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outbound: Allowed,
    table: ResourceTable,
    pub(crate) memory: Memory,
}

impl State {
    /// A fresh world: the preopened directories, the environment, stdout and stderr; no sockets, nothing inherited.
    pub(crate) fn new(component: &Component, memory_limit: MemoryLimit) -> Result<Self> {
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
        Ok(Self::of(
            wasi.build(),
            component.outbound.clone(),
            memory_limit,
        ))
    }

    /// Returns the state of a command: no requests, no memory ceiling of its own. Commands share this type with served
    /// components because each type of state has its own copy of all of WASI in the binary.
    pub(crate) fn of_command(wasi: WasiCtx) -> Self {
        Self::of(wasi, Allowed::default(), MemoryLimit::Fixed(usize::MAX))
    }

    fn of(wasi: WasiCtx, outbound: Allowed, limit: MemoryLimit) -> Self {
        Self {
            wasi,
            http: WasiHttpCtx::new(),
            outbound,
            table: ResourceTable::new(),
            memory: Memory { limit, used: 0 },
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

/// Counts the memory of an instance over all its linear memories and tables. Growing beyond the limit traps instead
/// of failing softly, for then the log says that it was the limit, and not whatever the component does without memory.
pub(crate) struct Memory {
    limit: MemoryLimit,
    used: usize,
}

impl Memory {
    fn grow(&mut self, more: usize) -> wasmtime::Result<bool> {
        let wanted = self.used.saturating_add(more);
        // Read each time: the limit of a container may change while it runs.
        let limit = self.limit.bytes();
        if wanted > limit {
            return Err(format_err!(
                "the component asked for {wanted} bytes of memory, its limit is {limit} ({})",
                self.limit.source()
            ));
        }
        self.used = wanted;
        Ok(true)
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.grow(desired.saturating_sub(current))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // An element is a pointer.
        self.grow(
            desired
                .saturating_sub(current)
                .saturating_mul(size_of::<usize>()),
        )
    }
}
