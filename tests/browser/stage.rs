//! A host with a volume and a browser for each test, and a report of both if it fails.

use anyhow::{Context, Result};
use std::path::PathBuf;
use visits_tests::chromium::Chromium;
use visits_tests::{App, Host, artifacts, environment};

/// The pod's name.
pub(crate) const POD: &str = "visits-0";

/// A host and a browser.
pub(crate) struct Stage {
    pub(crate) host: Host,
    pub(crate) browser: Chromium,
    // Last, because the host ends before its directory is removed.
    _app: App,
}

impl Stage {
    /// Starts both. The counter continues from `visits`, in a file that another program has written.
    pub(crate) async fn at(visits: u64) -> Result<Self> {
        let app = App::new(&artifacts::visits_wasm()?)?;
        let file = app.volume().join("visits.bin");
        std::fs::write(&file, visits.to_le_bytes())
            .with_context(|| format!("cannot write {}", file.display()))?;
        let pod = format!("POD_NAME={POD}");
        let host = Host::of(&app).args(["--env", &pod]).start().await?;
        Ok(Self {
            host,
            browser: Chromium::start().await?,
            _app: app,
        })
    }

    /// Returns the page's address.
    pub(crate) fn url(&self) -> String {
        format!("{}/", self.host.url())
    }

    /// Adds the output of the host and the browser to a test's failure.
    pub(crate) fn judge(&self, result: Result<()>) -> Result<()> {
        result.map_err(|error| {
            self.host
                .failed(&format!("{error:#}\n{}", self.browser.logs()))
        })
    }
}

/// Returns the path of a picture, in the directory of `SCREENSHOTS_DIR`, which `cargo xtask test` sets, or else below
/// cargo's target directory.
pub(crate) fn picture(name: &str) -> Result<PathBuf> {
    let directory = environment::SCREENSHOTS.get().map_or_else(
        || PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("screenshots"),
        PathBuf::from,
    );
    std::fs::create_dir_all(&directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    Ok(directory.join(name))
}
