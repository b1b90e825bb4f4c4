//! An application that is ready to be served: everything that can be wrong with a manifest, its component and its
//! directories has been looked at, and nothing of the volume has been touched.

use crate::code::Code;
use crate::manifest::{Manifest, check_variable};
use crate::outbound::Allowed;
use crate::preopens::{self, Preopen};
use crate::route::Route;
use crate::state::State;
use crate::trust::{Authorities, Trust};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use wasmtime::Engine;
use wasmtime_wasi_http::handler::ProxyPre;

/// What the caller gives beside the manifest.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Environment variables, over those of the manifest.
    pub environment: BTreeMap<String, String>,
    /// The directories that stand behind sources of the manifest's `files`.
    pub sources: BTreeMap<String, PathBuf>,
    /// The certificate authorities that outbound requests trust.
    pub authorities: Authorities,
}

/// A component with the requests that reach it. Made by [`App::load`].
pub struct App {
    pub(crate) name: String,
    pub(crate) route: Route,
    pub(crate) component: Arc<Component>,
}

/// A component with its directories, environment and permissions.
pub(crate) struct Component {
    pub(crate) engine: Engine,
    pub(crate) service: ProxyPre<State>,
    pub(crate) preopens: Vec<Preopen>,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) outbound: Allowed,
    pub(crate) trust: Arc<Trust>,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App")
            .field("name", &self.name)
            .field("preopens", &self.component.preopens)
            .finish_non_exhaustive()
    }
}

impl App {
    /// Checks the manifest's directories and loads its component, with the machine code that `code` gives.
    pub fn load(
        manifest: Manifest,
        overrides: &Overrides,
        engine: &Engine,
        code: Code<'_>,
    ) -> Result<Self> {
        let preopens = preopens::find(&manifest, &overrides.sources)?;
        let environment = environment(manifest.environment, &overrides.environment)?;
        // What the environment names is often the image's business, and not this application's.
        let authorities = &overrides.authorities;
        let unused = manifest.allowed_outbound_hosts.is_empty() && authorities.more.is_empty();
        let trust = match unused {
            true => Trust::default(),
            false => Trust::read(authorities)?,
        };
        let service = crate::component::load(engine, &manifest.component, code)?;
        Ok(Self {
            name: manifest.name,
            route: manifest.route,
            component: Arc::new(Component {
                engine: engine.clone(),
                service,
                preopens,
                environment,
                outbound: manifest.allowed_outbound_hosts,
                trust: Arc::new(trust),
            }),
        })
    }
}

/// The manifest's variables, over them the caller's, and `HOSTNAME`, the machine's name, unless one of them has it.
fn environment(
    mut environment: BTreeMap<String, String>,
    over: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>> {
    for (name, value) in over {
        check_variable(name, value)?;
        environment.insert(name.clone(), value.clone());
    }
    if !environment.contains_key("HOSTNAME") {
        let name = gethostname::gethostname().into_string().ok();
        let name = name.context("the machine's name is not UTF-8: give --env HOSTNAME=NAME")?;
        environment.insert("HOSTNAME".into(), name);
    }
    Ok(environment)
}
