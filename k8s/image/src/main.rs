//! `visits-image`: writes the counter's image and its wasm artifact. `cargo xtask image` builds and runs it. For the
//! image of another app, change the files in [`App::image`].

use anyhow::{Context, Result, ensure};
use clap::Parser;
use oci_writer::{Artifact, Image, Platform, SourceDate, Written};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use visits_support::process::exit_code;

/// The largest size of the image in bytes, with all its documents. A pod on a new node waits for the whole image.
const MAX_SIZE: u64 = 300_000;
/// The user and group of the counter. It is the id of the user "nonroot" in distroless images.
const USER: u32 = 65532;
/// The workspace's version, which is also the app's.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Write the counter's OCI image and its wasm artifact. SOURCE_DATE_EPOCH is the time in them (default: 0)
#[derive(Parser)]
#[command(name = "visits-image")]
struct Arguments {
    /// The app's manifest, with visits.wasm in the same directory
    manifest: PathBuf,
    /// The directory to write to
    output: PathBuf,
}

fn main() -> ExitCode {
    exit_code(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<()> {
    let date = SourceDate::from_environment()?;
    let app = App::read(&arguments.manifest)?;
    let wasm_file = arguments.manifest.with_file_name("visits.wasm");
    let wasm = std::fs::read(&wasm_file).with_context(|| wasm_file.display().to_string())?;
    let output = std::path::absolute(&arguments.output)?;
    std::fs::create_dir_all(&output)
        .with_context(|| format!("cannot create {}", output.display()))?;

    let image = app.image(&wasm).created(date);
    let path = output.join("oci");
    let layout = image.write_layout(&path)?;
    print(&path, &layout);
    ensure!(
        layout.size <= MAX_SIZE,
        "{}: the image has {} bytes, more than the limit of {MAX_SIZE}",
        path.display(),
        layout.size
    );
    let path = output.join("visits-oci.tar");
    print(&path, &image.write_layout_tar(&path)?);
    let path = output.join("visits-docker.tar");
    let archive = image.write_docker_archive(&path, Platform::default())?;
    print(&path, &archive);
    let path = output.join("visits-artifact");
    print(
        &path,
        &app.artifact(wasm).created(date).write_layout(&path)?,
    );
    Ok(())
}

/// Prints an output's path, size and digest.
fn print(path: &Path, written: &Written) {
    println!(
        "{}  {} bytes  {}",
        path.display(),
        written.size,
        written.digest
    );
}

/// The app that the manifest describes.
#[derive(Debug)]
struct App {
    manifest: String,
    name: String,
    description: String,
}

impl App {
    fn read(path: &Path) -> Result<Self> {
        let manifest = std::fs::read_to_string(path);
        manifest
            .map_err(Into::into)
            .and_then(Self::parse)
            .with_context(|| path.display().to_string())
    }

    fn parse(manifest: String) -> Result<Self> {
        let table: toml::Table = manifest.parse()?;
        let field = |name| {
            let value = table.get("application").and_then(|table| table.get(name));
            value
                .and_then(toml::Value::as_str)
                .map(str::to_owned)
                .with_context(|| format!("application.{name} is missing"))
        };
        let version = field("version")?;
        ensure!(
            version == VERSION,
            "application.version is {version}, but the workspace's version is {VERSION} (set both to the same)"
        );
        Ok(Self {
            name: field("name")?,
            description: field("description")?,
            manifest,
        })
    }

    fn image(&self, wasm: &[u8]) -> Image {
        let image = Image::new(self.reference())
            .file("/app/spin.toml", self.manifest.as_bytes(), 0o644)
            .file("/app/visits.wasm", wasm, 0o644)
            .directory("/app/persistent", USER, USER, 0o755)
            .entrypoint(["/app/spin.toml", "--startup-check", "/healthz"])
            .working_directory("/app")
            .user(format!("{USER}:{USER}"))
            .exposed_port("5000/tcp");
        self.annotations()
            .into_iter()
            .fold(image, |image, (key, value)| image.annotation(key, value))
    }

    fn artifact(&self, wasm: Vec<u8>) -> Artifact {
        let artifact = Artifact::new(self.reference(), wasm);
        self.annotations()
            .into_iter()
            .fold(artifact, |artifact, (key, value)| {
                artifact.annotation(key, value)
            })
    }

    fn reference(&self) -> String {
        format!("localhost/{}:{VERSION}", self.name)
    }

    fn annotations(&self) -> [(&'static str, &str); 4] {
        let licenses = env!("CARGO_PKG_LICENSE");
        [
            ("org.opencontainers.image.title", &self.name),
            ("org.opencontainers.image.description", &self.description),
            ("org.opencontainers.image.version", VERSION),
            ("org.opencontainers.image.licenses", licenses),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repositorys_manifest_has_the_name_and_version_of_the_image() {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../../spin.toml");
        let app = App::read(Path::new(manifest)).expect("it is well formed");
        assert_eq!(app.reference(), format!("localhost/visits:{VERSION}"));
    }

    #[test]
    fn a_manifest_of_another_version_is_an_error_that_names_both() {
        let manifest = "[application]\nname = \"visits\"\nversion = \"0.0.0\"\n";
        let error = App::parse(manifest.to_owned()).expect_err("0.0.0 is not the version");
        let error = error.to_string();
        assert!(
            error.contains("0.0.0") && error.contains(VERSION),
            "{error}"
        );
    }
}
