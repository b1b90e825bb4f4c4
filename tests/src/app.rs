//! A temporary application. Each test has its own, so that tests can run in parallel.

use crate::artifacts;
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// The path of the volume in the component.
pub const GUEST_VOLUME: &str = "/app/persistent";

/// A directory with `spin.toml` and the volume `persistent`. It is removed on drop.
#[derive(Debug)]
pub struct App {
    directory: TempDir,
    host_arguments: Vec<&'static str>,
}

impl App {
    /// Makes an application with the component at `wasm` and an empty volume.
    pub fn new(wasm: &Path) -> Result<Self> {
        Self::with_manifest_lines(wasm, "")
    }

    /// Makes the counter with an empty volume. Its host gets the option that `make up` and the counter's image set.
    pub fn counter() -> Result<Self> {
        let mut app = Self::new(&artifacts::visits_wasm()?)?;
        app.host_arguments.push("--startup-check=/healthz");
        Ok(app)
    }

    /// Makes an application with more lines in the manifest's `[component.app]` table.
    pub fn with_manifest_lines(wasm: &Path, lines: &str) -> Result<Self> {
        let app = Self {
            directory: TempDir::new().context("cannot make a directory for an application")?,
            host_arguments: Vec::new(),
        };
        std::fs::create_dir(app.volume())?;
        write_manifest(app.directory(), wasm, lines)?;
        Ok(app)
    }

    /// Returns its directory.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Returns the path of its `spin.toml`.
    pub fn manifest(&self) -> PathBuf {
        self.directory().join("spin.toml")
    }

    /// Returns the options of its host.
    pub(crate) fn host_arguments(&self) -> &[&'static str] {
        &self.host_arguments
    }

    /// Returns the directory that the component sees as `/app/persistent`.
    pub fn volume(&self) -> PathBuf {
        self.directory().join("persistent")
    }
}

/// Makes a named pipe. Opening it waits until somebody opens its other end.
pub fn make_fifo(path: &Path) -> Result<()> {
    let made = Command::new("mkfifo").arg(path).status()?;
    ensure!(made.success(), "mkfifo {}", path.display());
    Ok(())
}

/// Writes `spin.toml` to a directory: the component at `wasm` on every route, the volume `persistent`, and `lines` at the end
/// of the table `[component.app]`.
pub fn write_manifest(directory: &Path, wasm: &Path, lines: &str) -> Result<PathBuf> {
    let manifest = directory.join("spin.toml");
    let text = format!(
        "spin_manifest_version = 2\n\n\
         [application]\nname = \"app\"\n\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"app\"\n\n\
         [component.app]\nsource = {wasm:?}\n\
         files = [{{ source = \"persistent\", destination = \"{GUEST_VOLUME}\" }}]\n{lines}\n"
    );
    std::fs::write(&manifest, text)
        .with_context(|| format!("cannot write {}", manifest.display()))?;
    Ok(manifest)
}
