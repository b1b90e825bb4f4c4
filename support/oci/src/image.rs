//! An image: the files, the program that runs, and the documents, with one manifest and configuration for each platform.

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
use std::process::Command;
use visits_support::files;

/// An image under construction. Errors in it are reported when it is written.
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
    arguments: Vec<String>,
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
    /// Returns an empty image. The name must have a tag: `localhost/hello:1`.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            entries: Vec::new(),
            entrypoint: Vec::new(),
            arguments: Vec::new(),
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

    /// Adds a regular file that root owns. Directories above it, unless they are added too, belong to root with mode 0755.
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

    /// Adds a symbolic link, owned by root, to `target`, which need not be in the image.
    #[must_use]
    pub fn symlink(self, path: impl Into<String>, target: impl Into<String>) -> Self {
        self.entry(path.into(), Content::Symlink(target.into()), (0, 0), 0o777)
    }

    /// Adds a statically linked busybox of this machine as `/bin/busybox`, with a link for each command that is not yet in
    /// `/bin`.
    ///
    /// # Errors
    /// If the program cannot be read or run.
    pub fn busybox(self, program: &Path) -> Result<Self> {
        let bytes =
            std::fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
        let mut list = Command::new(program);
        list.arg("--list");
        let names = visits_support::command::run(list)?;
        let mut image = self.file("/bin/busybox", bytes, 0o755);
        for name in names.lines() {
            let path = format!("/bin/{name}");
            if !image.entries.iter().any(|entry| entry.path == path) {
                image = image.symlink(path, "busybox");
            }
        }
        Ok(image)
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

    /// Sets the program that runs and its arguments.
    #[must_use]
    pub fn entrypoint<A: Into<String>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.entrypoint = arguments.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the arguments that a container's own ones replace. Without an entry point, the first one is the program.
    #[must_use]
    pub fn arguments<A: Into<String>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments = arguments.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the program's working directory.
    #[must_use]
    pub fn working_directory(mut self, path: impl Into<String>) -> Self {
        self.working_directory = Some(path.into());
        self
    }

    /// Sets the program's user, as `UID:GID`: an image without `/etc/passwd` has no names.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Adds a variable to the program's environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push(format!("{name}={value}"));
        self
    }

    /// Adds a port on which the program listens: `5000/tcp`.
    #[must_use]
    pub fn exposed_port(mut self, port: impl Into<String>) -> Self {
        self.ports.push(port.into());
        self
    }

    /// Adds an annotation, such as `org.opencontainers.image.title`, to the index and to each manifest. Each configuration gets
    /// it as a label, because a Docker archive has no annotations.
    #[must_use]
    pub fn annotation(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.annotations.insert(key.into(), value.into());
        self
    }

    /// Sets the time of creation, which is also the time of every file. The default is 1970.
    #[must_use]
    pub fn created(mut self, date: SourceDate) -> Self {
        self.date = date;
        self
    }

    /// Restricts the image to this platform, because it holds native code.
    #[must_use]
    pub fn platform(mut self, platform: Platform) -> Self {
        self.platforms = vec![platform];
        self
    }

    /// Leaves the layer uncompressed. This is faster for large programs, if the image stays on this machine.
    #[must_use]
    pub fn uncompressed(mut self) -> Self {
        self.compression = Compression::none();
        self
    }

    /// Writes an OCI image layout in which the image's name stands for one index of all platforms. An existing layout is
    /// replaced.
    ///
    /// # Errors
    /// If the image is not well formed, or if the directory cannot be written.
    pub fn write_layout(&self, directory: &Path) -> Result<Written> {
        self.layout()?.write_directory(directory)
    }

    /// Writes the layout as a tar, which `ctr images import` and `podman load` read.
    ///
    /// # Errors
    /// If the image is not well formed, or if the file cannot be written.
    pub fn write_layout_tar(&self, path: &Path) -> Result<Written> {
        self.layout()?.write_tar(path, self.date)
    }

    /// Writes the archive that `docker load` reads. It holds one platform. (Docker on a Mac with an Apple processor runs
    /// [`Platform::LinuxArm64`].)
    ///
    /// # Errors
    /// If the image is not well formed, or if the file cannot be written.
    pub fn write_docker_archive(&self, path: &Path, platform: Platform) -> Result<Written> {
        let build = || {
            let name = reference(&self.name)?.whole();
            let layer = self.layer()?;
            let config = self.configuration(&layer, platform)?;
            docker::archive(&name, &config, &layer.blob, self.date)
                .map(|archive| (config.digest, archive))
        };
        let (digest, archive) = build().with_context(|| format!("image {}", self.name))?;
        files::replace(path, &archive)?;
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
            // containerd reads the name from the first. skopeo, podman and the specification read the tag from the second.
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
        if !self.arguments.is_empty() {
            run = run.cmd(self.arguments.clone());
        }
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

/// Returns the annotations of a document, with the time of creation.
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

/// Parses a name. It must have a tag, and no digest, which is the result of the build.
pub(crate) fn reference(name: &str) -> Result<Reference> {
    let written = name.rsplit('/').next().unwrap_or(name);
    // The parser would read a name without a tag as `latest`.
    anyhow::ensure!(
        written.contains(':') && !written.contains('@'),
        "its name must end in a tag, as in localhost/hello:1"
    );
    name.parse().context("its name is not well formed")
}

pub(crate) fn tag(reference: &Reference) -> String {
    reference.tag().unwrap_or("latest").to_owned()
}
