//! What the command does differently as a container: it listens on every address, it may have code from the
//! node, it keeps the component below the container's memory limit, and the container's environment can reach the component.

use crate::cache::Entry;
use crate::manifest::Manifest;
use crate::settings::MemoryLimit;
use anyhow::{Result, bail};
use std::collections::BTreeMap;
use std::env::VarError;
use std::os::fd::RawFd;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};

/// The variables that always reach the component: by them it knows which replica it is.
const ALWAYS: [&str; 2] = ["POD_NAME", "HOSTNAME"];

/// What a container brings beside its arguments and its environment.
#[derive(Debug, Default)]
pub struct Container {
    code: Mutex<Option<Entry>>,
    memory_limit: Option<&'static AtomicU64>,
}

impl Container {
    /// Returns a container with code that was found for it, and with its memory limit in bytes, which may change while
    /// it runs.
    pub fn new(memory_limit: Option<&'static AtomicU64>, code: Option<Entry>) -> Self {
        let code = Mutex::new(code);
        Self { code, memory_limit }
    }

    /// Returns the code. It is given away so that its descriptor is closed once the code is mapped.
    pub fn take_code(&self) -> Option<Entry> {
        let mut code = self.code.lock().unwrap_or_else(PoisonError::into_inner);
        code.take()
    }

    /// Returns the descriptor of the code, if there is code.
    pub fn descriptor(&self) -> Option<RawFd> {
        let code = self.code.lock().unwrap_or_else(PoisonError::into_inner);
        code.as_ref().map(Entry::descriptor)
    }

    /// Returns the limit of the component that follows from the container's.
    pub(super) fn memory_limit(&self) -> Option<MemoryLimit> {
        self.memory_limit.map(MemoryLimit::BelowContainer)
    }

    /// Adds the values that the container's environment has for the variables of the manifest and those of every
    /// replica. What the command line gives stays.
    pub(super) fn add_environment(
        &self,
        manifest: &Manifest,
        environment: &mut BTreeMap<String, String>,
    ) -> Result<()> {
        let names = manifest.environment.keys().map(String::as_str);
        for name in names.chain(ALWAYS) {
            match std::env::var(name) {
                Ok(value) => {
                    environment.entry(name.to_owned()).or_insert(value);
                }
                Err(VarError::NotPresent) => {}
                Err(VarError::NotUnicode(_)) => {
                    bail!(
                        "the environment variable {name} is not UTF-8, which a component cannot have"
                    )
                }
            }
        }
        Ok(())
    }
}
