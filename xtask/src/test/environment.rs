//! What the tests find in their environment: where the built things are, the browser, and a cache of compiled
//! components that all hosts of one run share.

use crate::{go, setup, workspace};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The environment of one test run. Its cache directory is removed on drop.
pub(crate) struct Environment {
    variables: Vec<(&'static str, PathBuf)>,
    cache: PathBuf,
    screenshots: PathBuf,
    chromium: Option<PathBuf>,
}

impl Environment {
    /// Finds everything and makes the directories.
    pub(crate) fn new() -> Result<Self> {
        let target = workspace::target()?;
        let cache = target.join(format!("test-cache-{}", std::process::id()));
        make_private(&cache)?;
        let variables = vec![
            ("PREOPEN_BIN", workspace::preopen()?),
            ("VISITS_WASM", workspace::guest("visits")?),
            ("PROBE_WASM", workspace::guest("probe")?),
            ("COMMAND_WASM", workspace::guest("command")?),
            ("HELLO_WASM", workspace::guest("hello")?),
            ("SDKS_DIR", workspace::sdks()?),
        ];
        let mut environment = Self {
            variables,
            cache,
            screenshots: target.join("screenshots"),
            chromium: None,
        };
        environment.find_chromium()?;
        Ok(environment)
    }

    /// Looks for the browser.
    pub(crate) fn find_chromium(&mut self) -> Result<()> {
        self.chromium = setup::chromium()?;
        Ok(())
    }

    /// Whether there is a browser.
    pub(crate) fn has_chromium(&self) -> bool {
        self.chromium.is_some()
    }

    /// Where the browser test puts its pictures.
    pub(crate) fn screenshots(&self) -> &Path {
        &self.screenshots
    }

    /// Finds what the host tests run beside the host: builds and installs what is missing where that is possible.
    /// Returns what is still missing, as a part of the names of the tests that need it, and why.
    pub(crate) fn prepare_host(&mut self) -> Vec<(&'static str, String)> {
        let mut missing = Vec::new();
        match go::H2SPEC.build() {
            Ok(directory) => self
                .variables
                .push(("H2SPEC_BIN", directory.join("h2spec"))),
            Err(error) => missing.push(("h2spec", format!("{error:#}"))),
        }
        let proxies = setup::PROXIES.prepare();
        for (name, variable, path) in [
            ("nginx", "NGINX_BIN", setup::nginx()),
            ("haproxy", "HAPROXY_BIN", setup::haproxy()),
        ] {
            match (path, &proxies) {
                (Some(path), _) => self.variables.push((variable, path)),
                (None, Err(error)) => missing.push((name, format!("{error:#}"))),
                (None, Ok(())) => missing.push((name, "it was not installed".into())),
            }
        }
        missing
    }

    /// Gives the environment to a command.
    pub(crate) fn apply(&self, command: &mut Command) {
        command.envs(self.variables.iter().cloned());
        command.env("PREOPEN_TEST_CACHE", &self.cache);
        command.env("SCREENSHOTS_DIR", &self.screenshots);
        if let Some(chromium) = &self.chromium {
            command.env("CHROMIUM_BIN", chromium);
        }
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.cache) {
            eprintln!("note: {} is left behind: {error}", self.cache.display());
        }
    }
}

/// Makes a directory that nobody else can write to: the host runs the machine code it finds in there.
fn make_private(directory: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .with_context(|| format!("make {}", directory.display()))
}
