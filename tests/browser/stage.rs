//! What each test stands on: a host with a volume, a browser of its own, and a report of both when it fails.

use anyhow::{Context, Result};
use std::path::PathBuf;
use visits_tests::chromium::Chromium;
use visits_tests::{App, Host, artifacts, environment};

/// The name that the pod is given.
pub(crate) const POD: &str = "visits-0";

/// A host and a browser.
pub(crate) struct Stage {
    pub(crate) host: Host,
    pub(crate) browser: Chromium,
    // Last: the host ends before its directory goes.
    _app: App,
}

impl Stage {
    /// Starts both; the counter goes on from `visits`, which it finds as another program left it.
    pub(crate) async fn at(visits: u64) -> Result<Self> {
        let app = App::new(&artifacts::visits_wasm()?)?;
        let file = app.volume().join("visits.bin");
        std::fs::write(&file, visits.to_le_bytes())
            .with_context(|| format!("write {}", file.display()))?;
        let pod = format!("POD_NAME={POD}");
        let host = Host::of(&app).args(["--env", &pod]).start().await?;
        Ok(Self {
            host,
            browser: Chromium::start().await?,
            _app: app,
        })
    }

    /// The page's address.
    pub(crate) fn url(&self) -> String {
        format!("{}/", self.host.url())
    }

    /// Adds to a test's failure what the host and the browser wrote.
    pub(crate) fn judge(&self, result: Result<()>) -> Result<()> {
        result.map_err(|error| {
            self.host
                .failed(&format!("{error:#}\n{}", self.browser.logs()))
        })
    }
}

/// Where pictures go: the directory that `SCREENSHOTS_DIR` names (`cargo xtask test` does), else a new one beside the
/// other things that tests leave in cargo's target directory.
pub(crate) fn picture(name: &str) -> Result<PathBuf> {
    let directory = environment::SCREENSHOTS.get().map_or_else(
        || PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("screenshots"),
        PathBuf::from,
    );
    std::fs::create_dir_all(&directory).with_context(|| format!("make {}", directory.display()))?;
    Ok(directory.join(name))
}
