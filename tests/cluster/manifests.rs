//! The manifests of `k8s/`: as they are, or with what a test changes laid over them, as a user's own overlay would.

use crate::namespace::Namespace;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Where all of them are.
const K8S: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../k8s");

/// A directory that `kubectl apply -k` takes.
#[derive(Debug)]
pub(crate) struct Manifests {
    directory: PathBuf,
    /// Holds the directories of those that were laid over each other: they are read when they are applied.
    overlays: Vec<TempDir>,
}

impl Manifests {
    /// The base: probes count, as they did in the Python app.
    pub(crate) fn base() -> Self {
        Self {
            directory: K8S.into(),
            overlays: Vec::new(),
        }
    }

    /// The overlay by which only people count, so that a test knows every visit there is.
    pub(crate) fn only_people_count() -> Self {
        Self::overlay("probes-healthz")
    }

    /// One of `k8s/overlays`.
    pub(crate) fn overlay(name: &str) -> Self {
        Self {
            directory: Path::new(K8S).join("overlays").join(name),
            overlays: Vec::new(),
        }
    }

    /// All of `k8s/overlays`.
    pub(crate) fn overlays() -> Result<Vec<String>> {
        let directory = Path::new(K8S).join("overlays");
        let entries = std::fs::read_dir(&directory);
        let entries = entries.with_context(|| format!("read {}", directory.display()))?;
        let mut names = Vec::new();
        for entry in entries {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    /// The same with the counter's image replaced by this one, `NAME:TAG`.
    pub(crate) fn with_image(self, image: &str) -> Result<Self> {
        let (name, tag) = image.rsplit_once(':').context("an image without a tag")?;
        let images = json!([{ "name": "localhost/visits", "newName": name, "newTag": tag }]);
        self.with("images", images)
    }

    /// The same with these operations of a JSON patch on the StatefulSet.
    pub(crate) fn with_patch(self, operations: Value) -> Result<Self> {
        let target = json!({ "kind": "StatefulSet", "name": "visits" });
        let patch = json!({ "target": target, "patch": operations.to_string() });
        self.with("patches", json!([patch]))
    }

    /// Applies all of it in a namespace.
    pub(crate) async fn apply(&self, namespace: &Namespace<'_>) -> Result<()> {
        let apply = ["apply", "--kustomize", &self.path()];
        namespace.kubectl(apply).await.map(drop)
    }

    /// Where they are.
    pub(crate) fn path(&self) -> String {
        self.directory.to_string_lossy().into_owned()
    }

    fn with(mut self, field: &str, value: Value) -> Result<Self> {
        let overlay = TempDir::new().context("make a directory for an overlay")?;
        let kustomization = json!({
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [relative(overlay.path(), &self.directory)?],
            field: value,
        });
        let file = overlay.path().join("kustomization.yaml");
        std::fs::write(&file, kustomization.to_string())
            .with_context(|| format!("write {}", file.display()))?;
        self.directory = overlay.path().to_owned();
        self.overlays.push(overlay);
        Ok(self)
    }
}

/// The way from one directory to another, for kustomize takes no absolute one.
fn relative(from: &Path, to: &Path) -> Result<PathBuf> {
    let real = |path: &Path| {
        path.canonicalize()
            .with_context(|| path.display().to_string())
    };
    let (from, to) = (real(from)?, real(to)?);
    let up = from.components().skip(1).map(|_| "..");
    Ok(up.collect::<PathBuf>().join(to.strip_prefix("/")?))
}
