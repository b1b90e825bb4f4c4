//! An application whose manifest, variables, directories and components are checked and loaded. Nothing on its volumes
//! has been touched.

use crate::code::Code;
use crate::component::{self, Component};
use crate::engine::Engine;
use crate::error::{Error, OrError};
use crate::grants::Grants;
use crate::manifest::{self, Endpoint, Manifest, Target, check_variable};
use crate::outbound::Allowed;
use crate::preopens;
use crate::route::Route;
use crate::route_headers::RouteHeaders;
use crate::router::Router;
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

/// What the caller gives beside the manifest.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overrides {
    /// Environment variables of every component. They win over the manifest's.
    pub(crate) environment: BTreeMap<String, String>,
    /// Values of environment variables, for the components that list them in the manifest.
    pub(crate) replacements: BTreeMap<String, String>,
    /// The directories to mount for sources of the manifest's `files`.
    pub(crate) sources: BTreeMap<String, PathBuf>,
    /// The certificate authorities that outbound requests trust.
    pub(crate) authorities: Authorities,
}

/// The components of an application, and the routes to them.
pub(crate) struct App {
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
    /// The host, whose response is always the same.
    Response(http::Response<Bytes>),
}

impl App {
    /// Checks the manifest's variables and directories, and loads its components with machine code from `code`.
    pub(crate) fn load(
        manifest: Manifest,
        overrides: &Overrides,
        engine: &Engine,
        code: &Code,
    ) -> Result<Self, Error> {
        preopens::check_sources(&manifest, &overrides.sources).or_error(Error::Volume)?;
        let values = Values::find(&manifest.variables, variable)
            .with_context(|| manifest.path.display().to_string())
            .or_error(Error::Variable)?;
        let hosts = |component| outbound(&manifest.path, component, &values);
        let hosts: Result<Vec<Allowed>> = manifest.components.iter().map(hosts).collect();
        let hosts = hosts.or_error(Error::Manifest)?;
        let trust = trust(&overrides.authorities, &hosts).or_error(Error::Authorities)?;
        let trust = Arc::new(trust);
        let mut components = Vec::new();
        for (component, outbound) in manifest.components.iter().zip(hosts) {
            let grants = Grants {
                preopens: preopens::find(&manifest.path, component, &overrides.sources)
                    .or_error(Error::Volume)?,
                environment: environment(component, overrides).or_error(Error::Variable)?,
                outbound,
                trust: trust.clone(),
                variables: variables(component, &values),
            };
            let component = component::load(engine, &component.source, grants, code);
            components.push(Arc::new(component.or_error(Error::Component)?));
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

/// Returns a variable of this process's environment, if it is set.
pub(crate) fn variable(name: &str) -> Result<Option<String>> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => {
            bail!("the environment variable {name} is not UTF-8, which a component cannot have")
        }
    }
}

/// Returns a component's environment: the manifest's variables, replaced and completed by the caller's. `HOSTNAME` is the
/// machine's name unless one of them sets it.
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

/// Reads the certificate authorities if a component may send requests, or if the caller names files of them. Otherwise
/// they stay unread: an image often sets `SSL_CERT_FILE` for other programs.
fn trust(authorities: &Authorities, hosts: &[Allowed]) -> Result<Trust> {
    let unused = hosts.iter().all(Allowed::is_empty) && authorities.more.is_empty();
    match unused {
        true => Ok(Trust::default()),
        false => Trust::read(authorities),
    }
}

/// Returns the component's variables with their values.
fn variables(component: &manifest::Component, values: &Values) -> ComponentVariables {
    let filled = |(name, template): (&String, &Template)| (name.clone(), template.fill(values));
    let filled = component.variables.iter().map(filled).collect();
    ComponentVariables::new(&component.name, filled)
}

/// Returns the requests that the component may send. An entry that is empty once its variables are filled in allows
/// nothing, as in Spin: an optional server has an empty address.
fn outbound(path: &Path, component: &manifest::Component, values: &Values) -> Result<Allowed> {
    let mut allowed = Allowed::default();
    for host in &component.allowed_outbound_hosts {
        let pattern = host.template.fill(values);
        if matches!(pattern.as_str(), "" | "http://" | "https://") && !host.template.is_literal() {
            continue;
        }
        // The message has the template and not the pattern, because a value may be a secret.
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
