//! The CNCF's wasm artifact: the bare component in a registry, for tools such as `wkg`. See
//! <https://tag-runtime.cncf.io/wgs/wasm/deliverables/wasm-oci-artifact/>.
//!
//! Its `os` is `wasip2` also for a component of WASI 0.3: the format knows `wasip1`, a core module, and `wasip2`, a
//! component, and has no word for a later version, which the names of the imports tell. `component` must then be
//! there; its optional `target` is not, for a component does not say which world it was made for. `author` is
//! optional too, and left out.
//!
//! containerd cannot unpack it, as its layer is no tar, so the shim does not run it: that takes an [`crate::Image`].

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
    /// The artifact of a component, under a name with a tag.
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

    /// When it was made. Without a call: 1970.
    #[must_use]
    pub fn created(mut self, date: SourceDate) -> Self {
        self.date = date;
        self
    }

    /// Writes an OCI image layout that holds it. A layout that is there is replaced.
    ///
    /// # Errors
    /// When it is no component, or the directory cannot be written.
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
        // Without containerd's name: it is not for containerd to have as an image.
        target.set_annotations(Some(HashMap::from([(
            ANNOTATION_REF_NAME.to_owned(),
            tag(&reference),
        )])));
        let blobs = vec![layer, config, manifest];
        Ok(Layout { target, blobs })
    }
}
