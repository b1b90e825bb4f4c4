//! The host as a library: [`HostBuilder`] collects what is served and how, [`Host`] serves it.

#[cfg(test)]
mod tests;

use crate::app::{App, Overrides};
use crate::cache::{Cache, Entry};
use crate::code::Code;
use crate::descriptors;
use crate::engine::Engine;
use crate::error::{Error, OrError};
use crate::limits::Limits;
use crate::manifest::Manifest;
use crate::server::{Drained, Serving};
use crate::startup_check::StartupCheck;
use crate::trust::Authorities;
use std::fmt;
use std::path::PathBuf;
use tokio::net::TcpListener;

/// An application that is loaded and checked. Made by [`Host::builder`].
pub struct Host(Serving);

/// Collects what is served and how.
#[derive(Debug)]
pub struct HostBuilder {
    manifest: Manifest,
    overrides: Overrides,
    limits: Limits,
    code: Code,
    keep_open_files_limit: bool,
    access_log: bool,
    startup_check: Option<String>,
}

impl Host {
    /// Starts to build a host for the application of `manifest`.
    pub fn builder(manifest: Manifest) -> HostBuilder {
        HostBuilder {
            manifest,
            overrides: Overrides::default(),
            limits: Limits::default(),
            code: Code::Compiled,
            keep_open_files_limit: false,
            access_log: false,
            startup_check: None,
        }
    }

    /// Returns the application's name.
    pub fn name(&self) -> &str {
        &self.0.app.info.name
    }

    /// Starts the components and serves on `listener` until `shutdown` resolves, then drains.
    ///
    /// It catches no signal, installs no logger and never exits the process. It must run on a tokio runtime with I/O and
    /// time enabled.
    ///
    /// # Errors
    /// When a component does not start, or the host can serve no longer.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> Result<Drained, Error> {
        self.0.run(listener, shutdown).await
    }
}

impl HostBuilder {
    /// Sets an environment variable for every component. It wins over the manifest's. The last value of a name counts.
    pub fn environment(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let environment = &mut self.overrides.environment;
        environment.insert(name.into(), value.into());
        self
    }

    /// Replaces the value of an environment variable for the components that list it in the manifest.
    pub fn replacement(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let replacements = &mut self.overrides.replacements;
        replacements.insert(name.into(), value.into());
        self
    }

    /// Mounts `directory` for the `files` entry of the manifest whose source is `source`.
    pub fn source(mut self, source: impl Into<String>, directory: impl Into<PathBuf>) -> Self {
        let sources = &mut self.overrides.sources;
        sources.insert(source.into(), directory.into());
        self
    }

    /// Sets the certificate authorities that outbound requests trust. The default is Mozilla's list, which is built in.
    pub fn authorities(mut self, authorities: Authorities) -> Self {
        self.overrides.authorities = authorities;
        self
    }

    /// Sets the limits.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Keeps compiled code in `cache`. The default is no cache: every [`load`](Self::load) compiles.
    pub fn cache(mut self, cache: Cache) -> Self {
        self.code = Code::Cached(cache);
        self
    }

    /// Takes compiled code from these entries of a cache. A component without an entry is compiled.
    pub fn entries(mut self, entries: Vec<Entry>) -> Self {
        self.code = Code::Entries(entries);
        self
    }

    /// Leaves the process's limit of open files (`ulimit -n`) as it is, and does not check that the connections fit. By
    /// default [`load`](Self::load) raises the limit as far as it goes, and fails if `limits.connections` do not fit.
    ///
    /// If connections take all descriptors, the component's file calls fail.
    pub fn keep_open_files_limit(mut self) -> Self {
        self.keep_open_files_limit = true;
        self
    }

    /// Logs one line for every request.
    pub fn access_log(mut self, on: bool) -> Self {
        self.access_log = on;
        self
    }

    /// Requests `path` once when the host starts, and logs `startup check failed` if the response's status is not 2xx. The
    /// host serves in either case. The default is no such request.
    pub fn startup_check(mut self, path: impl Into<String>) -> Self {
        self.startup_check = Some(path.into());
        self
    }

    /// Checks everything and loads the components. Touches nothing in the components' directories.
    ///
    /// The values of the manifest's variables are read from this process's environment (`SPIN_VARIABLE_NAME`).
    ///
    /// # Errors
    /// When a limit cannot be met, or the manifest, a variable, a directory, a component, a certificate authority or the
    /// startup check's path is unusable.
    pub fn load(self) -> Result<Host, Error> {
        let mut limits = self.limits;
        if !self.keep_open_files_limit {
            let connections = descriptors::make_room(limits.connections);
            limits.connections = Some(connections.or_error(Error::Limits)?);
        }
        limits.memory.check().or_error(Error::Limits)?;
        let engine = Engine::for_memory(limits.memory).or_error(Error::Setup)?;
        let app = App::load(self.manifest, &self.overrides, &engine, &self.code)?;
        let check = |path: String| StartupCheck::new(&path, &app);
        let startup_check = self.startup_check.map(check).transpose();
        let startup_check = startup_check.or_error(Error::StartupCheck)?;
        Ok(Host(Serving {
            app,
            limits,
            access_log: self.access_log,
            startup_check,
        }))
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}
