//! The components of a manifest: what each of them sees and may do.

use super::document::{self, Document, Text, TextOr};
use super::text::ManifestText;
use super::{Component, Mount, OutboundHost, refusals};
use crate::outbound::Allowed;
use crate::variables::{Declared, Template, check_name};
use anyhow::{Result, bail, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use toml::Spanned;

/// The components of a manifest, and the indices of those that are served.
pub(super) struct Components<'d> {
    manifest: &'d ManifestText<'d>,
    variables: &'d Declared,
    /// The components of `[component.NAME]` that were checked and are not served yet.
    named: BTreeMap<&'d str, Component>,
    indices: BTreeMap<&'d str, usize>,
    served: Vec<Component>,
}

impl<'d> Components<'d> {
    /// Checks all components that have their own table.
    pub(super) fn new(
        manifest: &'d ManifestText<'d>,
        document: &'d Document,
        variables: &'d Declared,
    ) -> Result<Self> {
        let mut components = Self {
            manifest,
            variables,
            named: BTreeMap::new(),
            indices: BTreeMap::new(),
            served: Vec::new(),
        };
        for (name, table) in &document.component {
            let component = components.check(name, table)?;
            components.named.insert(name, component);
        }
        Ok(components)
    }

    /// Serves the component with this name, and returns its index. Returns `None` if there is none.
    pub(super) fn serve(&mut self, name: &'d str) -> Option<usize> {
        if let Some(component) = self.named.remove(name) {
            self.indices.insert(name, self.served.len());
            self.served.push(component);
        }
        self.indices.get(name).copied()
    }

    /// Returns whether there is a component with this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.named.contains_key(name) || self.indices.contains_key(name)
    }

    /// Serves a component that a trigger defines, and returns its index.
    pub(super) fn serve_inline(&mut self, component: Component) -> usize {
        self.served.push(component);
        self.served.len() - 1
    }

    /// Returns the served components in the order of their indices.
    pub(super) fn served(self) -> Vec<Component> {
        self.served
    }

    /// Checks a component's table.
    pub(super) fn check(&self, name: &str, table: &document::Component) -> Result<Component> {
        let manifest = self.manifest;
        refusals::check_component(manifest, table)?;
        let TextOr::Text(source) = table.source.get_ref() else {
            return Err(refusals::source(manifest, &table.source));
        };
        let directory = manifest.path.parent().unwrap_or(Path::new(""));
        Ok(Component {
            name: name.to_owned(),
            source: directory.join(source),
            files: mounts(manifest, &table.files)?,
            environment: environment(manifest, &table.environment)?,
            allowed_outbound_hosts: self.outbound(&table.allowed_outbound_hosts)?,
            variables: self.values(&table.variables)?,
        })
    }

    fn outbound(&self, entries: &[Text]) -> Result<Vec<OutboundHost>> {
        let checked = |entry: &Text| {
            let at = entry.span().start;
            let host = Template::parse(entry.get_ref(), self.variables).and_then(|template| {
                if template.is_literal() {
                    Allowed::default().add(template.written())?;
                }
                Ok(OutboundHost {
                    template,
                    line: self.manifest.line(at),
                })
            });
            host.map_err(|error| self.manifest.error(at, &error.to_string()))
        };
        entries.iter().map(checked).collect()
    }

    fn values(&self, entries: &BTreeMap<Text, Text>) -> Result<BTreeMap<String, Template>> {
        let checked = |(name, value): (&Text, &Text)| {
            check_name(name.get_ref())
                .map_err(|error| self.manifest.error(name.span().start, &error.to_string()))?;
            let value = Template::parse(value.get_ref(), self.variables)
                .map_err(|error| self.manifest.error(value.span().start, &error.to_string()))?;
            Ok((name.get_ref().clone(), value))
        };
        entries.iter().map(checked).collect()
    }
}

fn mounts(manifest: &ManifestText<'_>, files: &[Spanned<TextOr<Mount>>]) -> Result<Vec<Mount>> {
    let mut mounts: Vec<Mount> = Vec::new();
    // A set, because an image's manifest may have many thousands of entries.
    let mut destinations = BTreeSet::new();
    for entry in files {
        let mount = match entry.get_ref() {
            TextOr::Table(mount) => check_mount(mount).map(|()| mount),
            TextOr::Text(pattern) => Err(anyhow::anyhow!(
                "the file pattern {pattern:?} is not supported, because it would have to be copied: \
                 write {{ source = \"DIRECTORY\", destination = \"/PATH\" }}"
            )),
        };
        let mount = mount.and_then(|mount| {
            let destination = Path::new(&mount.destination);
            ensure!(
                destinations.insert(destination),
                "the destination {:?} is given twice",
                mount.destination
            );
            Ok(mount)
        });
        let mount =
            mount.map_err(|error| manifest.error(entry.span().start, &error.to_string()))?;
        mounts.push(mount.clone());
    }
    Ok(mounts)
}

fn check_mount(mount: &Mount) -> Result<()> {
    let Mount {
        source,
        destination,
    } = mount;
    let path = Path::new(destination);
    ensure!(
        path.is_absolute() && !destination.contains('\0'),
        "the destination {destination:?} must be an absolute path"
    );
    ensure!(
        path.components()
            .all(|part| part != std::path::Component::ParentDir),
        "the destination {destination:?} must be a path without \"..\""
    );
    ensure!(!source.is_empty(), "the source must name a directory");
    Ok(())
}

fn environment(
    manifest: &ManifestText<'_>,
    entries: &BTreeMap<String, Text>,
) -> Result<BTreeMap<String, String>> {
    let checked = |(name, value): (&String, &Text)| {
        check_variable(name, value.get_ref())
            .map_err(|error| manifest.error(value.span().start, &error.to_string()))?;
        Ok((name.clone(), value.get_ref().clone()))
    };
    entries.iter().map(checked).collect()
}

/// Fails unless this name and value can be an environment variable.
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
