//! What the command does differently in a container: it listens on every address, it may have code from the node, it
//! keeps the component below the container's memory limit, and it passes the container's environment on.

use crate::app::variable;
use crate::cache::Entry;
use crate::host::{Host, HostBuilder};
use crate::limits::MemoryLimit;
use crate::manifest::Manifest;
use anyhow::{Result, ensure};
use std::os::fd::RawFd;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};

/// The variables that every component sees: they name its replica.
const ALWAYS: [&str; 2] = ["POD_NAME", "HOSTNAME"];

/// What a container brings beside its arguments and its environment.
#[derive(Debug, Default)]
pub struct Container {
    code: Mutex<Vec<Entry>>,
    memory_limit: Option<&'static AtomicU64>,
}

impl Container {
    /// Returns a container with its memory limit in bytes, which may change while it runs, and with the code that was found
    /// for it.
    pub fn new(memory_limit: Option<&'static AtomicU64>, code: Vec<Entry>) -> Self {
        let code = Mutex::new(code);
        Self { code, memory_limit }
    }

    /// Returns the descriptors of the code.
    pub fn descriptors(&self) -> Vec<RawFd> {
        let code = self.code.lock().unwrap_or_else(PoisonError::into_inner);
        code.iter().map(Entry::descriptor).collect()
    }

    /// Takes the code, so that its descriptors are closed once it is mapped.
    fn take_code(&self) -> Vec<Entry> {
        let mut code = self.code.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *code)
    }

    /// Returns the limit of the component that follows from the container's.
    pub(super) fn memory_limit(&self) -> Option<MemoryLimit> {
        self.memory_limit.map(MemoryLimit::BelowContainer)
    }

    /// Fails if `--cache-dir` is given. Whoever can write to the directory could run code outside of the sandbox in every
    /// container that uses it, and containers of the same user can write to a directory on a shared volume.
    pub(super) fn refuse_cache(&self, directory: Option<&Path>) -> Result<()> {
        ensure!(
            directory.is_none(),
            "--cache-dir {}: not supported in a container, whose code the node compiles and keeps: remove it",
            directory.unwrap_or(Path::new("")).display()
        );
        Ok(())
    }

    /// Returns a builder with the container's code and environment: the variables that components list in the manifest, and
    /// those that every component sees.
    pub(super) fn builder(&self, manifest: Manifest) -> Result<HostBuilder> {
        let listed = manifest.components.iter();
        let listed = listed.flat_map(|component| component.environment.keys().cloned());
        let listed: Vec<String> = listed.collect();
        let mut builder = Host::builder(manifest).entries(self.take_code());
        for name in ALWAYS {
            if let Some(value) = variable(name)? {
                builder = builder.environment(name, value);
            }
        }
        for name in listed {
            if let Some(value) = variable(&name)? {
                builder = builder.replacement(name, value);
            }
        }
        Ok(builder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_directory_is_refused_in_one_line_that_names_it() {
        let container = Container::default();
        assert!(container.refuse_cache(None).is_ok());
        let error = container.refuse_cache(Some(Path::new("/volume/cache")));
        let error = error.expect_err("it must be refused").to_string();
        assert!(error.starts_with("--cache-dir /volume/cache: "), "{error}");
        assert!(
            error.contains("remove it") && !error.contains('\n'),
            "{error}"
        );
    }
}
