//! What the command does differently as a container: it listens on every address, it may have code from the node,
//! it keeps the component below the container's memory limit, and the container's environment can reach the component.

use crate::app::{Overrides, variable};
use crate::cache::Entry;
use crate::manifest::Manifest;
use crate::settings::MemoryLimit;
use anyhow::{Result, ensure};
use std::os::fd::RawFd;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};

/// The variables that always reach the component: by them it knows which replica it is.
const ALWAYS: [&str; 2] = ["POD_NAME", "HOSTNAME"];

/// What a container brings beside its arguments and its environment.
#[derive(Debug, Default)]
pub struct Container {
    code: Mutex<Vec<Entry>>,
    memory_limit: Option<&'static AtomicU64>,
}

impl Container {
    /// Returns a container with code that was found for it, and with its memory limit in bytes, which may change while
    /// it runs.
    pub fn new(memory_limit: Option<&'static AtomicU64>, code: Vec<Entry>) -> Self {
        let code = Mutex::new(code);
        Self { code, memory_limit }
    }

    /// Returns the code. It is given away so that its descriptors are closed once the code is mapped.
    pub fn take_code(&self) -> Vec<Entry> {
        let mut code = self.code.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *code)
    }

    /// Returns the descriptors of the code.
    pub fn descriptors(&self) -> Vec<RawFd> {
        let code = self.code.lock().unwrap_or_else(PoisonError::into_inner);
        code.iter().map(Entry::descriptor).collect()
    }

    /// Returns the limit of the component that follows from the container's.
    pub(super) fn memory_limit(&self) -> Option<MemoryLimit> {
        self.memory_limit.map(MemoryLimit::BelowContainer)
    }

    /// Refuses `--cache-dir`. Whoever can write to the directory could run code outside of the sandbox in every
    /// container that uses it, and other containers of the same user can write to a directory on a volume.
    pub(super) fn refuse_cache(&self, directory: Option<&Path>) -> Result<()> {
        ensure!(
            directory.is_none(),
            "--cache-dir {}: not supported in a container, whose code the node compiles and keeps: remove it",
            directory.unwrap_or(Path::new("")).display()
        );
        Ok(())
    }

    /// Adds the values that the container's environment has for the variables that components list, and for those of every
    /// replica. What the command line gives stays.
    pub(super) fn add_environment(
        &self,
        manifest: &Manifest,
        overrides: &mut Overrides,
    ) -> Result<()> {
        for name in ALWAYS {
            if let Some(value) = variable(name)? {
                let environment = &mut overrides.environment;
                environment.entry(name.to_owned()).or_insert(value);
            }
        }
        let listed = manifest
            .components
            .iter()
            .flat_map(|it| it.environment.keys());
        for name in listed {
            if let Some(value) = variable(name)? {
                overrides.replacements.insert(name.clone(), value);
            }
        }
        Ok(())
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
