//! From a wasm file to a component that is ready to be instantiated, or to one line that says what is wrong with it.

use crate::code::{COMPONENT, CORE_MODULE, Code};
use crate::state::State;
use anyhow::{Context, Result, anyhow, bail, ensure};
use std::path::Path;
use std::time::Instant;
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};
use wasmtime_wasi_http::handler::ProxyPre;
use wasmtime_wasi_http::{p2, p3};

/// Loads the component at `path`, with the code that `code` gives.
pub(crate) fn load(engine: &Engine, path: &Path, code: Code<'_>) -> Result<ProxyPre<State>> {
    let wasm = std::fs::read(path)
        .with_context(|| format!("{}: cannot read the component", path.display()))?;
    check_header(&wasm).with_context(|| path.display().to_string())?;
    let component = compiled(engine, path, &wasm, code)?;
    let kind = kind(engine, &component).with_context(|| path.display().to_string())?;
    link(engine, &component, kind).map_err(|error| {
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

/// The WASI that a component's handler is of.
enum Kind {
    P2,
    P3,
}

/// Finds out how the component answers requests. One that has both handlers answers by the newer one.
fn kind(engine: &Engine, component: &Component) -> Result<Kind> {
    let exports: Vec<String> = component
        .component_type()
        .exports(engine)
        .map(|(name, _)| name.to_owned())
        .collect();
    let exports_any = |prefix: &str| exports.iter().any(|name| name.starts_with(prefix));
    if exports_any("wasi:http/handler@0.3.") {
        return Ok(Kind::P3);
    }
    if exports_any("wasi:http/incoming-handler@0.2.") {
        return Ok(Kind::P2);
    }
    bail!("the component exports no wasi:http/handler 0.3: it cannot answer HTTP requests");
}

/// Links what components of WASI 0.2 and 0.3 import, and nothing else.
fn link(engine: &Engine, component: &Component, kind: Kind) -> wasmtime::Result<ProxyPre<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    p2::add_only_http_to_linker_async(&mut linker)?;
    p3::add_to_linker(&mut linker)?;
    let linked = linker.instantiate_pre(component)?;
    Ok(match kind {
        Kind::P2 => ProxyPre::P2(p2::bindings::ProxyPre::new(linked)?),
        Kind::P3 => ProxyPre::P3(p3::bindings::ServicePre::new(linked)?),
    })
}
