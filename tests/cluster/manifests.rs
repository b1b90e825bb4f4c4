//! The manifests of `k8s/`, unchanged or with a test's changes in an overlay, as users make their own.

use crate::namespace::Namespace;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// How etcd reports that its disk was too slow for a request. Applying is repeated then: it changes nothing twice.
const ETCD_TIMEOUT: &str = "etcdserver: request timed out";

/// How often manifests are applied at most.
const MAX_APPLIES: usize = 3;

/// The directory of the manifests.
const K8S: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../k8s");

/// A directory for `kubectl apply -k`.
#[derive(Debug)]
pub(crate) struct Manifests {
    directory: PathBuf,
    /// The overlays' directories, which must exist until they are applied.
    overlays: Vec<TempDir>,
}

impl Manifests {
    /// Returns the base, in which probes count as in the Python app.
    pub(crate) fn base() -> Self {
        Self {
            directory: K8S.into(),
            overlays: Vec::new(),
        }
    }

    /// Returns the overlay in which probes do not count, so that a test knows every visit.
    pub(crate) fn only_people_count() -> Self {
        Self::overlay("probes-healthz")
    }

    /// Returns an overlay of `k8s/overlays`.
    pub(crate) fn overlay(name: &str) -> Self {
        Self {
            directory: Path::new(K8S).join("overlays").join(name),
            overlays: Vec::new(),
        }
    }

    /// Returns the names of all overlays in `k8s/overlays`.
    pub(crate) fn overlays() -> Result<Vec<String>> {
        let directory = Path::new(K8S).join("overlays");
        let entries = std::fs::read_dir(&directory);
        let entries = entries.with_context(|| format!("cannot read {}", directory.display()))?;
        let mut names = Vec::new();
        for entry in entries {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    /// Replaces the counter's image by `NAME:TAG`.
    pub(crate) fn with_image(self, image: &str) -> Result<Self> {
        let (name, tag) = image.rsplit_once(':').context("an image without a tag")?;
        let images = json!([{ "name": "localhost/visits", "newName": name, "newTag": tag }]);
        self.with("images", images)
    }

    /// Changes the number of pods.
    pub(crate) fn with_replicas(self, replicas: usize) -> Result<Self> {
        let replicas = json!([{ "op": "add", "path": "/spec/replicas", "value": replicas }]);
        self.with_patch(replicas)
    }

    /// Applies a JSON patch to the StatefulSet.
    pub(crate) fn with_patch(self, operations: Value) -> Result<Self> {
        let target = json!({ "kind": "StatefulSet", "name": "visits" });
        let patch = json!({ "target": target, "patch": operations.to_string() });
        self.with("patches", json!([patch]))
    }

    /// Applies the manifests in a namespace.
    pub(crate) async fn apply(&self, namespace: &Namespace<'_>) -> Result<()> {
        let path = self.path();
        for _ in 1..MAX_APPLIES {
            match namespace.kubectl(["apply", "--kustomize", &path]).await {
                Err(error) if format!("{error:#}").contains(ETCD_TIMEOUT) => {}
                applied => return applied.map(drop),
            }
        }
        namespace
            .kubectl(["apply", "--kustomize", &path])
            .await
            .map(drop)
    }

    /// Returns the directory's path.
    pub(crate) fn path(&self) -> String {
        self.directory.to_string_lossy().into_owned()
    }

    fn with(mut self, field: &str, value: Value) -> Result<Self> {
        let overlay = TempDir::new().context("cannot create a directory for an overlay")?;
        let kustomization = json!({
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [relative(overlay.path(), &self.directory)?],
            field: value,
        });
        let file = overlay.path().join("kustomization.yaml");
        std::fs::write(&file, kustomization.to_string())
            .with_context(|| format!("cannot write {}", file.display()))?;
        self.directory = overlay.path().to_owned();
        self.overlays.push(overlay);
        Ok(self)
    }
}

/// Returns the relative path from one directory to another. kustomize refuses absolute paths.
fn relative(from: &Path, to: &Path) -> Result<PathBuf> {
    let real = |path: &Path| {
        path.canonicalize()
            .with_context(|| path.display().to_string())
    };
    let (from, to) = (real(from)?, real(to)?);
    let up = from.components().skip(1).map(|_| "..");
    Ok(up.collect::<PathBuf>().join(to.strip_prefix("/")?))
}
