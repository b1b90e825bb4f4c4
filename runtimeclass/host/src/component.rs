//! From a wasm file to a component that is ready to be instantiated, or to one line that says what is wrong with it.

use crate::code::{COMPONENT, CORE_MODULE, Code};
use crate::state::State;
use anyhow::{Context, Result, anyhow, bail, ensure};
use std::path::Path;
use std::time::Instant;
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};
use wasmtime_wasi_http::p3::bindings::ServicePre;

/// Loads the component at `path`, with the code that `code` gives.
pub(crate) fn load(engine: &Engine, path: &Path, code: Code<'_>) -> Result<ServicePre<State>> {
    let wasm = std::fs::read(path)
        .with_context(|| format!("{}: cannot read the component", path.display()))?;
    check_header(&wasm).with_context(|| path.display().to_string())?;
    let component = compiled(engine, path, &wasm, code)?;
    check_exports(engine, &component).with_context(|| path.display().to_string())?;
    link(engine, &component).map_err(|error| {
        anyhow!(
            "{}: the component imports what this host does not have: {error:#}",
            path.display()
        )
    })
}

fn check_header(wasm: &[u8]) -> Result<()> {
    ensure!(
        !wasm.starts_with(CORE_MODULE),
        "a core module, not a component: build it for the target wasm32-wasip2, or wrap it with `wasm-tools component new`"
    );
    ensure!(wasm.starts_with(COMPONENT), "not a WebAssembly component");
    Ok(())
}

fn compiled(engine: &Engine, path: &Path, wasm: &[u8], code: Code<'_>) -> Result<Component> {
    let started = Instant::now();
    let (component, cached) = code
        .component(engine, wasm)
        .with_context(|| path.display().to_string())?;
    let duration_ms = started.elapsed().as_millis() as u64;
    tracing::info!(component = %path.display(), cached, duration_ms, "component ready");
    Ok(component)
}

/// Says what to do about a component of another kind: the linker would only name an import of it.
fn check_exports(engine: &Engine, component: &Component) -> Result<()> {
    let exports: Vec<String> = component
        .component_type()
        .exports(engine)
        .map(|(name, _)| name.to_owned())
        .collect();
    let exports_any = |prefix: &str| exports.iter().any(|name| name.starts_with(prefix));
    if exports_any("wasi:http/handler@0.3.") {
        return Ok(());
    }
    if exports_any("wasi:http/incoming-handler@0.2.") {
        bail!(
            "a WASI 0.2 component (it exports wasi:http/incoming-handler): rebuild it for wasi:http/handler 0.3, \
             for example with spin-sdk 7"
        );
    }
    bail!("the component exports no wasi:http/handler 0.3: it cannot answer HTTP requests");
}

/// Links what Rust's standard library (WASI 0.2) and spin-sdk (WASI 0.3) import, and nothing else.
fn link(engine: &Engine, component: &Component) -> wasmtime::Result<ServicePre<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    ServicePre::new(linker.instantiate_pre(component)?)
}
