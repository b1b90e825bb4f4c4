//! Loads a component: from a wasm file to something that can be instantiated, or to one line that says what is wrong.
//!
//! - [`exports`]: which handler the component exports, and what to do about a component of another kind
//! - [`imports`]: functions that fail when they are called, for imports that this host lacks

mod exports;
mod imports;

use crate::code::Code;
use crate::engine::Engine;
use crate::grants::Grants;
use crate::source::Source;
use crate::state::State;
use anyhow::{Context, Result, anyhow};
use exports::Handler;
use std::path::Path;
use std::time::Instant;
use wasmtime::component::{self, InstancePre, Linker};
use wasmtime_wasi_http::handler::ProxyPre;
use wasmtime_wasi_http::{p2, p3};

/// A component with its grants, ready to be instantiated.
pub(crate) struct Component {
    pub(crate) engine: wasmtime::Engine,
    pub(crate) service: ProxyPre<State>,
    pub(crate) grants: Grants,
}

/// Loads the component at `path` with machine code from `code`.
pub(crate) fn load(engine: &Engine, path: &Path, grants: Grants, code: &Code) -> Result<Component> {
    let source = Source::open(path)?;
    let component = compiled(engine, path, &source, code)?;
    let engine = engine.wasmtime();
    let handler = handler(engine, &component).with_context(|| path.display().to_string())?;
    let linked = link(engine, path, &component).and_then(|linked| {
        Ok(match handler {
            Handler::P2 => ProxyPre::P2(p2::bindings::ProxyPre::new(linked)?),
            Handler::P3 => ProxyPre::P3(p3::bindings::ServicePre::new(linked)?),
        })
    });
    let service = linked.map_err(|error| {
        anyhow!(
            "{}: the component imports or exports an interface in another form than this host's: {error:#}",
            path.display()
        )
    })?;
    Ok(Component {
        engine: engine.clone(),
        service,
        grants,
    })
}

fn compiled(
    engine: &Engine,
    path: &Path,
    source: &Source,
    code: &Code,
) -> Result<component::Component> {
    let started = Instant::now();
    let (component, cached) = code
        .component(engine, source)
        .with_context(|| path.display().to_string())?;
    let duration_ms = started.elapsed().as_millis() as u64;
    tracing::info!(component = %path.display(), cached, duration_ms, "component ready");
    Ok(component)
}

fn handler(engine: &wasmtime::Engine, component: &component::Component) -> Result<Handler> {
    let component_type = component.component_type();
    let exports: Vec<&str> = component_type
        .exports(engine)
        .map(|(name, _)| name)
        .collect();
    Handler::of(&exports)
}

fn link(
    engine: &wasmtime::Engine,
    path: &Path,
    component: &component::Component,
) -> wasmtime::Result<InstancePre<State>> {
    let mut linker = linker(engine)?;
    let missing = imports::define_missing(&mut linker, component)?;
    if !missing.is_empty() {
        tracing::info!(
            component = %path.display(),
            imports = missing.join(", "),
            "the component imports what this host does not have: a request that calls it fails"
        );
    }
    linker.instantiate_pre(component)
}

/// Returns a linker with everything that this host has: WASI 0.2 and 0.3. [`State`] denies their sockets.
///
/// A component of 0.3 gets 0.2 too, because the standard library of its language may import that.
fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    crate::directory_sync::add_to_linker(&mut linker)?;
    p2::add_only_http_to_linker_async(&mut linker)?;
    p3::add_to_linker(&mut linker)?;
    crate::variable_interfaces::add_to_linker(&mut linker)?;
    Ok(linker)
}
