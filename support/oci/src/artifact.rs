//! The CNCF's wasm artifact: the bare component in a registry, for tools such as `wkg`. See
//! <https://tag-runtime.cncf.io/wgs/wasm/deliverables/wasm-oci-artifact/>.
//!
//! `os` is `wasip2` even for a component of WASI 0.3: the format defines only `wasip1`, a core module, and `wasip2`, a
//! component. The names of the imports show the version. The format then requires `component`. Its optional `target` is left
//! out, because a component does not record the world that it was built for. The optional `author` is left out too.
//!
//! containerd cannot unpack the layer, which is not a tar, and so cannot run the artifact. It runs an [`crate::Image`].

use crate::blob::Blob;
use crate::component;
use crate::image::{annotations, reference, tag};
use crate::layout::Layout;
use crate::{SourceDate, Written};
use anyhow::{Context, Result};
use oci_spec::image::{ANNOTATION_REF_NAME, ImageManifestBuilder, MediaType, SCHEMA_VERSION};
use serde_json::json;
use std::collections::HashMap;
use std::path::Path;

const CONFIG: &str = "application/vnd.wasm.config.v0+json";
const LAYER: &str = "application/wasm";

/// An artifact under construction.
#[derive(Clone, Debug)]
pub struct Artifact {
    name: String,
    component: Vec<u8>,
    annotations: HashMap<String, String>,
    date: SourceDate,
}

impl Artifact {
    /// Returns the artifact of a component. The name must have a tag.
    pub fn new(name: impl Into<String>, component: impl Into<Vec<u8>>) -> Self {
        Self {
            name: name.into(),
            component: component.into(),
            annotations: HashMap::new(),
            date: SourceDate::default(),
        }
    }

    /// Adds an annotation to its manifest.
    #[must_use]
    pub fn annotation(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.annotations.insert(key.into(), value.into());
        self
    }

    /// Sets the time of its creation. The default is 1970.
    #[must_use]
    pub fn created(mut self, date: SourceDate) -> Self {
        self.date = date;
        self
    }

    /// Writes an OCI image layout that holds the artifact. An existing layout is replaced.
    ///
    /// # Errors
    /// If the bytes are not a component, or if the directory cannot be written.
    pub fn write_layout(&self, directory: &Path) -> Result<Written> {
        self.layout()
            .with_context(|| format!("artifact {}", self.name))?
            .write_directory(directory)
    }

    fn layout(&self) -> Result<Layout> {
        let reference = reference(&self.name)?;
        let interface = component::interface(&self.component)?;
        let layer = Blob::new(LAYER.into(), self.component.clone());
        let config = Blob::document(
            CONFIG.into(),
            &json!({
                "created": self.date.rfc3339(),
                "architecture": "wasm",
                "os": "wasip2",
                "layerDigests": [layer.descriptor().digest().to_string()],
                "component": { "exports": interface.exports, "imports": interface.imports },
            }),
        )?;
        let manifest = ImageManifestBuilder::default()
            .schema_version(SCHEMA_VERSION)
            .media_type(MediaType::ImageManifest)
            .config(config.descriptor())
            .layers([layer.descriptor()])
            .annotations(annotations(&self.annotations, self.date))
            .build()?;
        let manifest = Blob::document(MediaType::ImageManifest, &manifest)?;
        let mut target = manifest.descriptor();
        // Without the annotation that names the image for containerd, which cannot run the artifact.
        target.set_annotations(Some(HashMap::from([(
            ANNOTATION_REF_NAME.to_owned(),
            tag(&reference),
        )])));
        let blobs = vec![layer, config, manifest];
        Ok(Layout { target, blobs })
    }
}
