//! `spin.toml`, Spin's manifest version 2.
//!
//! A key whose value requests nothing is accepted, for example an empty list. A request for an unsupported feature is
//! refused with its line, its name and a remedy. Unknown keys are refused too, so a setting never has silently no
//! effect. docs/spin.md lists every key.
//!
//! The checks here need only the text. `crate::app` checks values of variables, files and directories.
//!
//! - `document`: the tables of the text
//! - `text`: lines for errors
//! - `refusals`: unsupported features
//! - `triggers`: routes and their targets
//! - `components`: what a component sees and may do

// Explicit paths, so that fuzz/bodies can include this file.
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

use crate::error::{Error, OrError};
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

pub(crate) use components::check_variable;
pub(crate) use triggers::RESERVED;

/// A manifest's routes and components.
#[derive(Debug)]
#[non_exhaustive]
pub struct Manifest {
    /// The path of the manifest.
    pub path: PathBuf,
    /// `application.name`.
    pub name: String,
    /// `application.version`.
    pub version: Option<String>,
    /// The application's variables.
    pub variables: Declared,
    /// The public routes. There is at least one.
    pub endpoints: Vec<Endpoint>,
    /// The components that a public route reaches. Other components are only checked.
    pub components: Vec<Component>,
}

/// A route and its target.
#[derive(Debug)]
#[non_exhaustive]
pub struct Endpoint {
    /// The route.
    pub route: Route,
    /// The target of its requests.
    pub target: Target,
}

/// The target of a route.
#[derive(Clone, Debug)]
pub enum Target {
    /// The component at this index of [`Manifest::components`].
    Component(usize),
    /// A fixed response of the host.
    Response(http::Response<Bytes>),
}

/// A component: its wasm, what it sees and what it may do.
#[derive(Debug)]
#[non_exhaustive]
pub struct Component {
    /// Its name in the manifest.
    pub name: String,
    /// Its wasm: an absolute path, or one relative to the current directory.
    pub source: PathBuf,
    /// The directories it sees.
    pub files: Vec<Mount>,
    /// The environment it sees.
    pub environment: BTreeMap<String, String>,
    /// The hosts it may send requests to.
    pub allowed_outbound_hosts: Vec<OutboundHost>,
    /// The variables that it can read by their names.
    pub variables: BTreeMap<String, Template>,
}

/// One entry of `files`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Mount {
    /// The directory as written, relative to the manifest's directory.
    pub source: String,
    /// The path at which the component sees it.
    pub destination: String,
}

/// One entry of `allowed_outbound_hosts`. Filled with the values of its variables, it is a pattern.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OutboundHost {
    /// The entry.
    pub template: Template,
    /// Its line in the manifest.
    pub line: usize,
}

impl Manifest {
    /// Reads the manifest at `path`.
    ///
    /// # Errors
    /// If the file cannot be read, or its text is refused.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("{}: cannot read the manifest", path.display()))
            .or_error(Error::Manifest)?;
        Self::parse(path, &text)
    }

    /// Parses a manifest's text. Errors name `path`, and relative paths start at its directory.
    ///
    /// # Errors
    /// If the text is malformed, or needs something that this host does not have.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        Self::parse_text(path, text).or_error(Error::Manifest)
    }

    fn parse_text(path: &Path, text: &str) -> Result<Self> {
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

/// Checks the application's variables, and returns them.
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
