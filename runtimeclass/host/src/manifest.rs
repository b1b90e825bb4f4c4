//! `spin.toml`, Spin's manifest version 2.
//!
//! What asks for nothing is accepted. What asks for something that this host does not have is refused with its line, its
//! name and what to do, and so is every unknown key: nothing that an author counts on is ignored in silence.
//! docs/spin.md lists every key.
//!
//! What is checked here needs nothing but the text. Values of variables, files and directories are for `crate::app`.
//!
//! - `document`: the tables of the text
//! - `text`: lines for errors
//! - `refusals`: what the host does not have
//! - `triggers`: which requests reach what
//! - `components`: what a component sees and may do

// By their paths, which fuzz/bodies needs to include this file.
#[path = "manifest/components.rs"]
mod components;
#[path = "manifest/document.rs"]
mod document;
#[path = "manifest/refusals.rs"]
mod refusals;
#[path = "manifest/text.rs"]
mod text;
#[path = "manifest/triggers.rs"]
mod triggers;

#[cfg(test)]
#[path = "manifest/documented.rs"]
mod documented;
#[cfg(test)]
#[path = "manifest/tests.rs"]
mod tests;

use crate::route::Route;
use crate::variables::{self, Declared, Template};
use anyhow::{Context, Result};
use bytes::Bytes;
use components::Components;
use document::{Document, Versions};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use text::ManifestText;

pub use components::check_variable;
pub use triggers::RESERVED;

/// What the host serves, read from a manifest.
#[derive(Debug)]
pub struct Manifest {
    /// Where it was read from.
    pub path: PathBuf,
    /// `application.name`.
    pub name: String,
    /// `application.version`.
    pub version: Option<String>,
    /// The application's variables.
    pub variables: Declared,
    /// The routes that requests from outside can take: at least one.
    pub endpoints: Vec<Endpoint>,
    /// The components that a route reaches. Others are checked, and not served.
    pub components: Vec<Component>,
}

/// A route and what answers it.
#[derive(Debug)]
pub struct Endpoint {
    /// The requests that it takes.
    pub route: Route,
    /// What answers them.
    pub target: Target,
}

/// What answers a route.
#[derive(Clone, Debug)]
pub enum Target {
    /// The component at this index of [`Manifest::components`].
    Component(usize),
    /// The host, always the same.
    Response(http::Response<Bytes>),
}

/// A component: its wasm, what it sees and what it may do.
#[derive(Debug)]
pub struct Component {
    /// Its name in the manifest.
    pub name: String,
    /// Its wasm, an absolute path or one relative to the current directory.
    pub source: PathBuf,
    /// The directories it sees.
    pub files: Vec<Mount>,
    /// The environment it sees.
    pub environment: BTreeMap<String, String>,
    /// The hosts it may send requests to.
    pub allowed_outbound_hosts: Vec<OutboundHost>,
    /// The values it can ask for by their names.
    pub variables: BTreeMap<String, Template>,
}

/// One entry of `files`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// The directory, as written: relative to the manifest's directory.
    pub source: String,
    /// Where the component sees it.
    pub destination: String,
}

/// One entry of `allowed_outbound_hosts`, which is a pattern once its variables have values.
#[derive(Clone, Debug)]
pub struct OutboundHost {
    /// The entry.
    pub template: Template,
    /// Its line in the manifest.
    pub line: usize,
}

impl Manifest {
    /// Reads the manifest at `path`.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("{}: cannot read the manifest", path.display()))?;
        Self::parse(path, &text)
    }

    /// Parses a manifest's text; `path` names it in errors, and its directory is what relative paths start from.
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        let manifest = ManifestText { path, text };
        let syntax = |error: toml::de::Error| {
            let at = error.span().map_or(0, |span| span.start);
            manifest.error(at, error.message())
        };
        let versions: Versions = toml::from_str(text).map_err(syntax)?;
        refusals::check_version(&manifest, &versions)?;
        let document: Document = toml::from_str(text).map_err(syntax)?;
        refusals::check_application(&manifest, &document)?;
        let variables = declared(&manifest, &document)?;
        let mut components = Components::new(&manifest, &document, &variables)?;
        let endpoints = triggers::endpoints(&manifest, &document, &mut components)?;
        let components = components.served();
        Ok(Self {
            path: path.to_owned(),
            name: document.application.name,
            version: document.application.version,
            variables,
            endpoints,
            components,
        })
    }
}

/// Checks the application's variables.
fn declared(manifest: &ManifestText<'_>, document: &Document) -> Result<Declared> {
    let variable = |(name, variable): (&document::Text, &document::Variable)| {
        let fail = |what: &str| manifest.error(name.span().start, what);
        let text = name.get_ref();
        variables::check_name(text).map_err(|error| fail(&error.to_string()))?;
        if variable.required == variable.default.is_some() {
            return Err(fail(&format!(
                "the variable {text:?} must have either a default or required = true"
            )));
        }
        Ok((text.clone(), variable.default.clone()))
    };
    document.variables.iter().map(variable).collect()
}
