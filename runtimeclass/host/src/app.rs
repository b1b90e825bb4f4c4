//! An application that is ready to be served: everything that can be wrong with a manifest, its components, its variables
//! and its directories has been looked at, and nothing of the volume has been touched.

use crate::code::Code;
use crate::manifest::{self, Endpoint, Manifest, Target, check_variable};
use crate::outbound::Allowed;
use crate::preopens::{self, Preopen};
use crate::route::Route;
use crate::route_headers::RouteHeaders;
use crate::router::Router;
use crate::state::State;
use crate::trust::{Authorities, Trust};
use crate::variable_interfaces::ComponentVariables;
use crate::variables::{Template, Values};
use crate::well_known::Info;
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::env::VarError;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wasmtime::Engine;
use wasmtime_wasi_http::handler::ProxyPre;

/// What the caller gives beside the manifest.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Environment variables for every component, over those of the manifest.
    pub environment: BTreeMap<String, String>,
    /// Other values for environment variables. They reach the components that list them in the manifest.
    pub replacements: BTreeMap<String, String>,
    /// The directories that stand behind sources of the manifest's `files`.
    pub sources: BTreeMap<String, PathBuf>,
    /// The certificate authorities that outbound requests trust.
    pub authorities: Authorities,
}

/// Components with the requests that reach them. Made by [`App::load`].
pub struct App {
    pub(crate) info: Info,
    pub(crate) router: Router<Reached>,
    /// A route reaches each of them.
    pub(crate) components: Vec<Arc<Component>>,
}

/// What a route reaches.
#[derive(Debug)]
pub(crate) enum Reached {
    /// The component at this index, which sees these headers.
    Component(usize, RouteHeaders),
    /// The host, which always answers the same.
    Response(http::Response<Bytes>),
}

/// A component with its directories, environment and permissions.
pub(crate) struct Component {
    pub(crate) engine: Engine,
    pub(crate) service: ProxyPre<State>,
    pub(crate) preopens: Vec<Preopen>,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) outbound: Allowed,
    pub(crate) trust: Arc<Trust>,
    pub(crate) variables: ComponentVariables,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App")
            .field("name", &self.info.name)
            .field("components", &self.components.len())
            .finish_non_exhaustive()
    }
}

impl App {
    /// Checks the manifest's variables and directories and loads its components, with the machine code that `code` gives.
    pub fn load(
        manifest: Manifest,
        overrides: &Overrides,
        engine: &Engine,
        code: Code<'_>,
    ) -> Result<Self> {
        preopens::check_sources(&manifest, &overrides.sources)?;
        let values = Values::find(&manifest.variables, variable)
            .with_context(|| manifest.path.display().to_string())?;
        let hosts = |component| outbound(&manifest.path, component, &values);
        let hosts: Vec<Allowed> = manifest
            .components
            .iter()
            .map(hosts)
            .collect::<Result<_>>()?;
        let trust = Arc::new(trust(&overrides.authorities, &hosts)?);
        let mut components = Vec::new();
        for (component, outbound) in manifest.components.iter().zip(hosts) {
            components.push(Arc::new(Component {
                preopens: preopens::find(&manifest.path, component, &overrides.sources)?,
                environment: environment(component, overrides)?,
                engine: engine.clone(),
                service: crate::component::load(engine, &component.source, code)?,
                outbound,
                trust: trust.clone(),
                variables: variables(component, &values),
            }));
        }
        Ok(Self {
            info: Info {
                name: manifest.name,
                version: manifest.version,
            },
            router: Router::new(manifest.endpoints.into_iter().map(reached)),
            components,
        })
    }
}

fn reached(endpoint: Endpoint) -> (Route, Reached) {
    let reached = match endpoint.target {
        Target::Component(index) => Reached::Component(index, RouteHeaders::of(&endpoint.route)),
        Target::Response(response) => Reached::Response(response),
    };
    (endpoint.route, reached)
}

/// Returns the value that this process's environment has for a variable, if it has one.
pub(crate) fn variable(name: &str) -> Result<Option<String>> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => {
            bail!("the environment variable {name} is not UTF-8, which a component cannot have")
        }
    }
}

/// The manifest's variables, over them the caller's, and `HOSTNAME`, the machine's name, unless one of them has it.
fn environment(
    component: &manifest::Component,
    overrides: &Overrides,
) -> Result<BTreeMap<String, String>> {
    let mut environment = component.environment.clone();
    for (name, value) in &mut environment {
        if let Some(replacement) = overrides.replacements.get(name) {
            check_variable(name, replacement)?;
            value.clone_from(replacement);
        }
    }
    for (name, value) in &overrides.environment {
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

/// Reads the authorities if a request may be sent, or files of them are named on purpose: what the environment names is
/// often the image's business, and not this application's.
fn trust(authorities: &Authorities, hosts: &[Allowed]) -> Result<Trust> {
    let unused = hosts.iter().all(Allowed::is_empty) && authorities.more.is_empty();
    match unused {
        true => Ok(Trust::default()),
        false => Trust::read(authorities),
    }
}

/// Returns the variables of the component, with their values.
fn variables(component: &manifest::Component, values: &Values) -> ComponentVariables {
    let filled = |(name, template): (&String, &Template)| (name.clone(), template.fill(values));
    let filled = component.variables.iter().map(filled).collect();
    ComponentVariables::new(&component.name, filled)
}

/// Returns what the component may ask, with the values of the variables in it. An entry that is empty then allows nothing,
/// as in Spin: an optional server has an empty address.
fn outbound(path: &Path, component: &manifest::Component, values: &Values) -> Result<Allowed> {
    let mut allowed = Allowed::default();
    for host in &component.allowed_outbound_hosts {
        let pattern = host.template.fill(values);
        if matches!(pattern.as_str(), "" | "http://" | "https://") && !host.template.is_literal() {
            continue;
        }
        // Without the pattern, because a value may be a secret.
        if allowed.add(&pattern).is_err() {
            bail!(
                "{}:{}: the outbound host {:?} is not supported with the values that its variables have",
                path.display(),
                host.line,
                host.template.written()
            );
        }
    }
    Ok(allowed)
}
