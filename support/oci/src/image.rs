//! An image: the files, what runs in it, and its documents, one manifest and configuration for each platform.

use crate::blob::Blob;
use crate::layer::{self, Content, Entry, Layer};
use crate::layout::Layout;
use crate::{Platform, SourceDate, Written, docker};
use anyhow::{Context, Result};
use flate2::Compression;
use oci_spec::distribution::Reference;
use oci_spec::image::{
    ConfigBuilder, Descriptor, ImageConfiguration, ImageConfigurationBuilder, ImageIndexBuilder,
    ImageManifestBuilder, MediaType, Os, RootFsBuilder, SCHEMA_VERSION,
};
use std::collections::HashMap;
use std::path::Path;

/// An image under construction. What is wrong with it is told when it is written.
///
/// ```no_run
/// # fn main() -> anyhow::Result<()> {
/// oci_writer::Image::new("localhost/hello:1")
///     .file("/app/spin.toml", std::fs::read("spin.toml")?, 0o644)
///     .file("/app/hello.wasm", std::fs::read("hello.wasm")?, 0o644)
///     .directory("/app/data", 65532, 65532, 0o755)
///     .entrypoint(["/app/spin.toml"])
///     .working_directory("/app")
///     .user("65532:65532")
///     .write_layout_tar("hello.tar".as_ref())?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Image {
    name: String,
    entries: Vec<Entry>,
    entrypoint: Vec<String>,
    working_directory: Option<String>,
    user: Option<String>,
    environment: Vec<String>,
    ports: Vec<String>,
    annotations: HashMap<String, String>,
    date: SourceDate,
    compression: Compression,
    platforms: Vec<Platform>,
}

impl Image {
    /// An empty image with this name, which has a tag: `localhost/visits:0.1.0`.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            entries: Vec::new(),
            entrypoint: Vec::new(),
            working_directory: None,
            user: None,
            environment: Vec::new(),
            ports: Vec::new(),
            annotations: HashMap::new(),
            date: SourceDate::default(),
            compression: Compression::best(),
            platforms: Platform::ALL.to_vec(),
        }
    }

    /// Adds a regular file that root owns. Directories above it that are not added themselves are root's, 0755.
    #[must_use]
    pub fn file(self, path: impl Into<String>, bytes: impl Into<Vec<u8>>, mode: u32) -> Self {
        self.owned_file(path, bytes, 0, 0, mode)
    }

    /// Adds a regular file that this user and group own.
    #[must_use]
    pub fn owned_file(
        self,
        path: impl Into<String>,
        bytes: impl Into<Vec<u8>>,
        uid: u32,
        gid: u32,
        mode: u32,
    ) -> Self {
        self.entry(path.into(), Content::File(bytes.into()), (uid, gid), mode)
    }

    /// Adds a directory that this user and group own.
    #[must_use]
    pub fn directory(self, path: impl Into<String>, uid: u32, gid: u32, mode: u32) -> Self {
        self.entry(path.into(), Content::Directory, (uid, gid), mode)
    }

    /// Adds a symbolic link of root's to `target`, which need not be in the image.
    #[must_use]
    pub fn symlink(self, path: impl Into<String>, target: impl Into<String>) -> Self {
        self.entry(path.into(), Content::Symlink(target.into()), (0, 0), 0o777)
    }

    fn entry(mut self, path: String, content: Content, (uid, gid): (u32, u32), mode: u32) -> Self {
        self.entries.push(Entry {
            path,
            content,
            uid,
            gid,
            mode,
        });
        self
    }

    /// What runs, with its arguments.
    #[must_use]
    pub fn entrypoint<A: Into<String>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.entrypoint = arguments.into_iter().map(Into::into).collect();
        self
    }

    /// Where it runs.
    #[must_use]
    pub fn working_directory(mut self, path: impl Into<String>) -> Self {
        self.working_directory = Some(path.into());
        self
    }

    /// Who runs it: `UID:GID`, for an image without `/etc/passwd` knows no names.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Adds a variable to its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push(format!("{name}={value}"));
        self
    }

    /// Adds a port it listens on: `5000/tcp`.
    #[must_use]
    pub fn exposed_port(mut self, port: impl Into<String>) -> Self {
        self.ports.push(port.into());
        self
    }

    /// Adds an annotation, such as `org.opencontainers.image.title`: to the index, to each manifest, and as a label
    /// to each configuration, for a Docker archive has nothing else that could bear it.
    #[must_use]
    pub fn annotation(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.annotations.insert(key.into(), value.into());
        self
    }

    /// When it was made, the time of all files too. Without a call: 1970.
    #[must_use]
    pub fn created(mut self, date: SourceDate) -> Self {
        self.date = date;
        self
    }

    /// For this platform alone: an image with native code in it.
    #[must_use]
    pub fn platform(mut self, platform: Platform) -> Self {
        self.platforms = vec![platform];
        self
    }

    /// Leaves the layer as large as its files: for an image of large programs that goes no further than this machine.
    #[must_use]
    pub fn uncompressed(mut self) -> Self {
        self.compression = Compression::none();
        self
    }

    /// Writes an OCI image layout, with one index of all platforms under the image's name. A layout that is there is
    /// replaced.
    ///
    /// # Errors
    /// When the image is not well formed, or the directory cannot be written.
    pub fn write_layout(&self, directory: &Path) -> Result<Written> {
        self.layout()?.write_directory(directory)
    }

    /// Writes the same as a tar, as `ctr images import` and `podman load` take it.
    ///
    /// # Errors
    /// When the image is not well formed, or the file cannot be written.
    pub fn write_layout_tar(&self, path: &Path) -> Result<Written> {
        self.layout()?.write_tar(path, self.date)
    }

    /// Writes the archive that `docker load` takes, which holds one platform. (On a Mac with Apple's processors,
    /// Docker's is [`Platform::LinuxArm64`].)
    ///
    /// # Errors
    /// When the image is not well formed, or the file cannot be written.
    pub fn write_docker_archive(&self, path: &Path, platform: Platform) -> Result<Written> {
        let build = || {
            let name = reference(&self.name)?.whole();
            let layer = self.layer()?;
            let config = self.configuration(&layer, platform)?;
            docker::archive(&name, &config, &layer.blob, self.date)
                .map(|archive| (config.digest, archive))
        };
        let (digest, archive) = build().with_context(|| format!("image {}", self.name))?;
        crate::file::replace(path, &archive)?;
        Ok(Written {
            digest: format!("sha256:{}", digest.digest()),
            size: archive.len() as u64,
        })
    }

    fn layer(&self) -> Result<Layer> {
        layer::pack(&self.entries, self.date, self.compression)
    }

    fn layout(&self) -> Result<Layout> {
        self.documents()
            .with_context(|| format!("image {}", self.name))
    }

    fn documents(&self) -> Result<Layout> {
        let reference = reference(&self.name)?;
        let layer = self.layer()?;
        let mut blobs = Vec::new();
        let mut manifests = Vec::new();
        for &platform in &self.platforms {
            let config = self.configuration(&layer, platform)?;
            let manifest = self.manifest(&config, &layer.blob)?;
            let mut descriptor = manifest.descriptor();
            descriptor.set_platform(Some(platform.descriptor()));
            manifests.push(descriptor);
            blobs.extend([config, manifest]);
        }
        let index = self.index(manifests)?;
        let mut target = index.descriptor();
        target.set_annotations(Some(HashMap::from([
            // containerd takes the name from the first; skopeo and podman, and the specification, the tag from the
            // second.
            ("io.containerd.image.name".to_owned(), reference.whole()),
            (
                oci_spec::image::ANNOTATION_REF_NAME.to_owned(),
                tag(&reference),
            ),
        ])));
        blobs.extend([index, layer.blob]);
        Ok(Layout { target, blobs })
    }

    fn index(&self, manifests: Vec<Descriptor>) -> Result<Blob> {
        let index = ImageIndexBuilder::default()
            .schema_version(SCHEMA_VERSION)
            .media_type(MediaType::ImageIndex)
            .manifests(manifests)
            .annotations(self.all_annotations())
            .build()?;
        Blob::document(MediaType::ImageIndex, &index)
    }

    fn manifest(&self, config: &Blob, layer: &Blob) -> Result<Blob> {
        let manifest = ImageManifestBuilder::default()
            .schema_version(SCHEMA_VERSION)
            .media_type(MediaType::ImageManifest)
            .config(config.descriptor())
            .layers([layer.descriptor()])
            .annotations(self.all_annotations())
            .build()?;
        Blob::document(MediaType::ImageManifest, &manifest)
    }

    fn all_annotations(&self) -> HashMap<String, String> {
        annotations(&self.annotations, self.date)
    }

    fn configuration(&self, layer: &Layer, platform: Platform) -> Result<Blob> {
        let rootfs = RootFsBuilder::default()
            .typ("layers")
            .diff_ids([layer.diff_id.clone()])
            .build()?;
        let mut run = ConfigBuilder::default()
            .entrypoint(self.entrypoint.clone())
            .env(self.environment.clone())
            .labels(self.annotations.clone());
        if let Some(directory) = &self.working_directory {
            run = run.working_dir(directory);
        }
        if let Some(user) = &self.user {
            run = run.user(user);
        }
        if !self.ports.is_empty() {
            run = run.exposed_ports(self.ports.clone());
        }
        let configuration: ImageConfiguration = ImageConfigurationBuilder::default()
            .created(self.date.rfc3339())
            .os(Os::Linux)
            .architecture(platform.architecture())
            .config(run.build()?)
            .rootfs(rootfs)
            .build()?;
        Blob::document(MediaType::ImageConfig, &configuration)
    }
}

/// The annotations of a document, with the time that it has in every case.
pub(crate) fn annotations(
    given: &HashMap<String, String>,
    date: SourceDate,
) -> HashMap<String, String> {
    let mut all = given.clone();
    all.insert(
        oci_spec::image::ANNOTATION_CREATED.to_owned(),
        date.rfc3339(),
    );
    all
}

/// A name with a tag and no digest, which is to come out of the build and not go in.
pub(crate) fn reference(name: &str) -> Result<Reference> {
    let written = name.rsplit('/').next().unwrap_or(name);
    // The parser itself would read a name without a tag as `latest`.
    anyhow::ensure!(
        written.contains(':') && !written.contains('@'),
        "its name must end in a tag, as in localhost/visits:0.1.0"
    );
    name.parse().context("its name is not well formed")
}

pub(crate) fn tag(reference: &Reference) -> String {
    reference.tag().unwrap_or("latest").to_owned()
}
