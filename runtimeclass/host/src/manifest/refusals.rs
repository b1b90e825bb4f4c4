//! Refuses features of manifests that the host does not support. Each error names the feature and a remedy.

use super::document::{
    AnyList, AnyTable, Component, Document, Elsewhere, HttpTrigger, TextOr, Versions,
};
use super::text::ManifestText;
use anyhow::Result;
use std::collections::BTreeMap;
use toml::{Spanned, Value};

/// Fails unless the manifest's version is 2.
pub(super) fn check_version(manifest: &ManifestText<'_>, versions: &Versions) -> Result<()> {
    const VERSION_1: &str =
        "this is a manifest of version 1, and this host reads version 2: `spin doctor` converts it";
    if let Some(version) = &versions.spin_version {
        return Err(manifest.error(version.span().start, VERSION_1));
    }
    let Some(version) = &versions.spin_manifest_version else {
        return Err(manifest.error(
            0,
            "spin_manifest_version is missing: begin with spin_manifest_version = 2",
        ));
    };
    let what = match version.get_ref() {
        Value::Integer(2) => return Ok(()),
        Value::Integer(1) => VERSION_1,
        Value::String(text) if text.trim() == "1" => VERSION_1,
        Value::String(text) if text.trim() == "2" => {
            "spin_manifest_version must be a number: write spin_manifest_version = 2"
        }
        _ => "spin_manifest_version must be 2: this host reads only version 2",
    };
    Err(manifest.error(version.span().start, what))
}

/// Fails if the application has triggers other than HTTP, or a base for its routes.
pub(super) fn check_application(manifest: &ManifestText<'_>, document: &Document) -> Result<()> {
    for (kind, triggers) in &document.trigger.others {
        if !triggers.get_ref().is_empty() {
            let what = format!(
                "[[trigger.{}]] is not supported: this host serves only HTTP; remove it, and serve it with another host",
                kind.get_ref()
            );
            return Err(manifest.error(kind.span().start, &what));
        }
    }
    for (name, value) in document
        .application
        .trigger
        .get("http")
        .into_iter()
        .flatten()
    {
        let what = match (name.get_ref().as_str(), value.get_ref()) {
            ("base", Value::String(base)) if base == "/" => continue,
            ("base", _) => {
                "a base other than \"/\" is not supported: write it at the beginning of each route"
                    .to_owned()
            }
            (other, _) => format!("unknown field `{other}`, expected `base`"),
        };
        return Err(manifest.error(name.span().start, &what));
    }
    Ok(())
}

/// Fails if a trigger has another executor, or more components than its own.
pub(super) fn check_trigger(manifest: &ManifestText<'_>, trigger: &HttpTrigger) -> Result<()> {
    if let Some(executor) = &trigger.executor {
        let kind = executor.kind.get_ref().as_str();
        let what = match kind {
            "http" | "spin" => None,
            "wagi" => Some(
                "the executor \"wagi\" is not supported: build the component for wasi:http, and remove the executor"
                    .to_owned(),
            ),
            other => Some(format!(
                "the executor {other:?} is unknown: write \"http\", or remove it"
            )),
        };
        if let Some(what) = what {
            return Err(manifest.error(executor.kind.span().start, &what));
        }
        if let Some(key) = executor.argv.as_ref().or(executor.entrypoint.as_ref()) {
            let what = "argv and entrypoint are settings of the executor \"wagi\": remove them";
            return Err(manifest.error(key.span().start, what));
        }
    }
    let more = "a trigger runs only the component that it names: remove them";
    table(manifest, "components", &trigger.components, more)?;
    table(manifest, "dependencies", &trigger.dependencies, more)
}

/// Fails if a component uses a feature that the host does not support.
pub(super) fn check_component(manifest: &ManifestText<'_>, component: &Component) -> Result<()> {
    let kept = "keep data in a directory of `files`, or on a server in allowed_outbound_hosts";
    list(
        manifest,
        "key_value_stores",
        &component.key_value_stores,
        kept,
    )?;
    list(
        manifest,
        "sqlite_databases",
        &component.sqlite_databases,
        kept,
    )?;
    let remote = "use a server in allowed_outbound_hosts";
    list(manifest, "ai_models", &component.ai_models, remote)?;
    let newer = "write allowed_outbound_hosts = [\"https://HOST\"]";
    list(
        manifest,
        "allowed_http_hosts",
        &component.allowed_http_hosts,
        newer,
    )?;
    let mounted = "directories are mounted as they are; move the excluded files out of them";
    list(manifest, "exclude_files", &component.exclude_files, mounted)?;
    let composed = "compose them into the component when it is built, for example with `wac plug`";
    table(manifest, "dependencies", &component.dependencies, composed)
}

/// Returns the error for a source that is not a file.
pub(super) fn source(
    manifest: &ManifestText<'_>,
    source: &Spanned<TextOr<Elsewhere>>,
) -> anyhow::Error {
    let what = match source.get_ref() {
        TextOr::Text(path) => format!("the source {path:?} is not supported"),
        TextOr::Table(Elsewhere { url: Some(url), .. }) => format!(
            "a URL as source is not supported: download {url} beside the manifest and write source = \"FILE.wasm\""
        ),
        TextOr::Table(Elsewhere {
            package: Some(package),
            version,
            ..
        }) => format!(
            "a registry as source is not supported: fetch it with `wkg get {package}@{}` and write source = \"FILE.wasm\"",
            version.as_deref().unwrap_or("VERSION")
        ),
        TextOr::Table(_) => "a source must be a file: write source = \"FILE.wasm\"".to_owned(),
    };
    manifest.error(source.span().start, &what)
}

fn list(
    manifest: &ManifestText<'_>,
    key: &str,
    list: &Option<AnyList>,
    instead: &str,
) -> Result<()> {
    match list {
        Some(list) if !list.get_ref().is_empty() => {
            Err(unsupported(manifest, key, list.span().start, instead))
        }
        _ => Ok(()),
    }
}

fn table(
    manifest: &ManifestText<'_>,
    key: &str,
    table: &Option<AnyTable>,
    instead: &str,
) -> Result<()> {
    match table {
        Some(table) if !BTreeMap::is_empty(table.get_ref()) => {
            Err(unsupported(manifest, key, table.span().start, instead))
        }
        _ => Ok(()),
    }
}

fn unsupported(manifest: &ManifestText<'_>, key: &str, at: usize, instead: &str) -> anyhow::Error {
    manifest.error(at, &format!("{key} is not supported: {instead}"))
}
