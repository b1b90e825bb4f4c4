//! A directory with a `spin.toml` and a volume, one for each test, so that tests run side by side.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Where the volume appears to the component.
pub const GUEST_VOLUME: &str = "/app/persistent";

/// A temporary application: `spin.toml` and the directory `persistent`, removed on drop.
#[derive(Debug)]
pub struct App {
    directory: TempDir,
}

impl App {
    /// An application that runs the component at `wasm` with an empty volume.
    pub fn new(wasm: &Path) -> Result<Self> {
        Self::with_manifest_lines(wasm, "")
    }

    /// The same, with further lines in the manifest's `[component.app]` table.
    pub fn with_manifest_lines(wasm: &Path, lines: &str) -> Result<Self> {
        let app = Self {
            directory: TempDir::new().context("make a directory for the test's application")?,
        };
        std::fs::create_dir(app.volume())?;
        write_manifest(app.directory(), wasm, lines)?;
        Ok(app)
    }

    /// The directory of the application.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Its `spin.toml`.
    pub fn manifest(&self) -> PathBuf {
        self.directory().join("spin.toml")
    }

    /// The directory behind the component's `/app/persistent`.
    pub fn volume(&self) -> PathBuf {
        self.directory().join("persistent")
    }
}

/// Writes `directory/spin.toml`: the component at `wasm` on every route, with `persistent` as its volume, and
/// `lines` at the end of the table `[component.app]`.
pub fn write_manifest(directory: &Path, wasm: &Path, lines: &str) -> Result<PathBuf> {
    let manifest = directory.join("spin.toml");
    let text = format!(
        "spin_manifest_version = 2\n\n\
         [application]\nname = \"app\"\n\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"app\"\n\n\
         [component.app]\nsource = {wasm:?}\n\
         files = [{{ source = \"persistent\", destination = \"{GUEST_VOLUME}\" }}]\n{lines}\n"
    );
    std::fs::write(&manifest, text).with_context(|| format!("write {}", manifest.display()))?;
    Ok(manifest)
}
