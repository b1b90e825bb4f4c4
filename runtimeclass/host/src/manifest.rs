//! `spin.toml`, Spin's manifest version 2, as far as this host supports it.
//!
//! Every table denies unknown keys: a key that the author counts on and the host does not know is an error with
//! its line, never silence. What is checked here needs nothing but the text; whether files and directories exist
//! is for `crate::preopens` and `component`.

// By its path, which fuzz/bodies needs to include this file.
#[cfg(test)]
#[path = "manifest/tests.rs"]
mod tests;

use crate::outbound::Allowed;
use crate::route::Route;
use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What the host serves, read from a manifest: one component, its route, its files and its permissions.
#[derive(Debug)]
pub struct Manifest {
    /// Where it was read from.
    pub path: PathBuf,
    /// `application.name`.
    pub name: String,
    /// The requests that reach the component.
    pub route: Route,
    /// The component's wasm, an absolute path or one relative to the current directory.
    pub component: PathBuf,
    /// The directories the component sees.
    pub files: Vec<Mount>,
    /// The environment the component sees.
    pub environment: BTreeMap<String, String>,
    /// The hosts the component may send requests to.
    pub allowed_outbound_hosts: Allowed,
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    spin_manifest_version: toml::Spanned<i64>,
    application: Application,
    trigger: Triggers,
    component: BTreeMap<String, Component>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Application {
    name: String,
    #[serde(rename = "version")]
    _version: Option<String>,
    #[serde(rename = "description")]
    _description: Option<String>,
    #[serde(rename = "authors")]
    _authors: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Triggers {
    http: Vec<toml::Spanned<HttpTrigger>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HttpTrigger {
    route: toml::Spanned<String>,
    component: toml::Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Component {
    source: toml::Spanned<String>,
    #[serde(rename = "description")]
    _description: Option<String>,
    #[serde(default)]
    files: Vec<toml::Spanned<FileEntry>>,
    #[serde(default)]
    environment: BTreeMap<String, toml::Spanned<String>>,
    #[serde(default)]
    allowed_outbound_hosts: Vec<toml::Spanned<String>>,
    #[serde(rename = "build")]
    _build: Option<Build>,
}

/// Both forms Spin knows, so that the one that is not supported gets an error that says what to write instead.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "a file must be { source = \"DIRECTORY\", destination = \"/PATH\" }"
)]
enum FileEntry {
    Mount(Mount),
    Pattern(String),
}

/// What builds the component: read so that a mistake in it is found, and not used when serving.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Build {
    #[serde(rename = "command")]
    _command: OneOrMany,
    #[serde(rename = "workdir")]
    _workdir: Option<String>,
    #[serde(default, rename = "watch")]
    _watch: Vec<String>,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "a command must be a string or a list of strings"
)]
enum OneOrMany {
    One(#[allow(dead_code, reason = "only its type is checked")] String),
    Many(#[allow(dead_code, reason = "only its type is checked")] Vec<String>),
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
        let place = Place { path, text };
        let document: Document = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            place.error(at, error.message())
        })?;
        check(document.spin_manifest_version.get_ref() == &2, || {
            place.error(
                document.spin_manifest_version.span().start,
                "spin_manifest_version must be 2: this host reads no other",
            )
        })?;
        let (trigger, component) = served(&place, &document)?;
        let route = Route::parse(trigger.route.get_ref())
            .map_err(|error| place.error(trigger.route.span().start, &error.to_string()))?;
        let directory = path.parent().unwrap_or(Path::new(""));
        Ok(Self {
            path: path.to_owned(),
            name: document.application.name.clone(),
            route,
            component: directory.join(component.source.get_ref()),
            files: mounts(&place, &component.files)?,
            environment: environment(&place, &component.environment)?,
            allowed_outbound_hosts: outbound(&place, &component.allowed_outbound_hosts)?,
        })
    }
}

/// The one trigger and its component.
fn served<'d>(
    place: &Place<'_>,
    document: &'d Document,
) -> Result<(&'d HttpTrigger, &'d Component)> {
    let [trigger] = document.trigger.http.as_slice() else {
        let at = document
            .trigger
            .http
            .get(1)
            .map_or(0, |second| second.span().start);
        let count = document.trigger.http.len();
        return Err(place.error(
            at,
            &format!("exactly one [[trigger.http]] is supported, here are {count}"),
        ));
    };
    let trigger = trigger.get_ref();
    let name = trigger.component.get_ref();
    let Some(component) = document.component.get(name) else {
        let what = format!("there is no [component.{name}]");
        return Err(place.error(trigger.component.span().start, &what));
    };
    if let Some((unused, table)) = document.component.iter().find(|(other, _)| *other != name) {
        let what = format!("[component.{unused}] has no trigger: remove it or serve it");
        return Err(place.error(table.source.span().start, &what));
    }
    Ok((trigger, component))
}

fn mounts(place: &Place<'_>, files: &[toml::Spanned<FileEntry>]) -> Result<Vec<Mount>> {
    let mut mounts: Vec<Mount> = Vec::new();
    // Sorted: an image may bring a manifest with many thousands of entries.
    let mut destinations = BTreeSet::new();
    for entry in files {
        let fail = |what: String| place.error(entry.span().start, &what);
        let mount = match entry.get_ref() {
            FileEntry::Mount(mount) => mount,
            FileEntry::Pattern(pattern) => {
                return Err(fail(format!(
                    "the file pattern {pattern:?} is not supported, for it would be copied: \
                     write {{ source = \"DIRECTORY\", destination = \"/PATH\" }}"
                )));
            }
        };
        let destination = Path::new(&mount.destination);
        let plain = destination.components().skip(1);
        check(
            destination.is_absolute()
                && plain.clone().next().is_some()
                && plain
                    .clone()
                    .all(|part| matches!(part, std::path::Component::Normal(_))),
            || {
                fail(format!(
                    "the destination {:?} must be an absolute path without \"..\"",
                    mount.destination
                ))
            },
        )?;
        check(!mount.source.is_empty(), || {
            fail("the source must name a directory".into())
        })?;
        check(destinations.insert(destination), || {
            fail(format!(
                "the destination {:?} is given twice",
                mount.destination
            ))
        })?;
        mounts.push(mount.clone());
    }
    Ok(mounts)
}

fn environment(
    place: &Place<'_>,
    entries: &BTreeMap<String, toml::Spanned<String>>,
) -> Result<BTreeMap<String, String>> {
    let checked = |(name, value): (&String, &toml::Spanned<String>)| {
        check_variable(name, value.get_ref())
            .map_err(|error| place.error(value.span().start, &error.to_string()))?;
        Ok((name.clone(), value.get_ref().clone()))
    };
    entries.iter().map(checked).collect()
}

/// An error unless this can be a variable of an environment.
pub(crate) fn check_variable(name: &str, value: &str) -> Result<()> {
    ensure!(!name.is_empty(), "an environment variable must have a name");
    ensure!(
        !name.contains(['=', '\0']),
        "the environment variable {name:?} must not contain '=' or NUL"
    );
    if value.contains('\0') {
        bail!("the environment variable {name} must not contain NUL");
    }
    Ok(())
}

fn outbound(place: &Place<'_>, patterns: &[toml::Spanned<String>]) -> Result<Allowed> {
    let mut allowed = Allowed::default();
    for pattern in patterns {
        allowed
            .add(pattern.get_ref())
            .map_err(|error| place.error(pattern.span().start, &error.to_string()))?;
    }
    Ok(allowed)
}

fn check(condition: bool, error: impl FnOnce() -> anyhow::Error) -> Result<()> {
    if condition { Ok(()) } else { Err(error()) }
}

/// Where an error is: a byte offset in this text becomes a line.
struct Place<'t> {
    path: &'t Path,
    text: &'t str,
}

impl Place<'_> {
    fn error(&self, at: usize, what: &str) -> anyhow::Error {
        let line = 1 + self.text[..at.min(self.text.len())].matches('\n').count();
        anyhow::anyhow!(
            "{}:{line}: {}",
            self.path.display(),
            what.trim().replace('\n', ", ")
        )
    }
}
