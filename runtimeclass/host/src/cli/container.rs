//! What the command does differently as a container: it listens on every address, it may have code mapped on the node,
//! it keeps the component below the container's memory limit, and the container's environment can reach the component.

use crate::code::Mapped;
use crate::manifest::Manifest;
use anyhow::{Result, bail};
use std::collections::BTreeMap;
use std::env::VarError;

/// The variables that always reach the component: by them it knows which replica it is.
const ALWAYS: [&str; 2] = ["POD_NAME", "HOSTNAME"];

/// What the host itself needs beside the component, at least, in bytes.
const HOST_MEMORY: u64 = 16 << 20;

/// What a container brings beside its arguments and its environment.
#[derive(Debug, Default)]
pub struct Container {
    code: Option<Mapped>,
    memory_limit: Option<u64>,
}

impl Container {
    /// A container with a memory limit in bytes, if it has one, and with code that was mapped for it.
    pub fn new(memory_limit: Option<u64>, code: Option<Mapped>) -> Self {
        Self { code, memory_limit }
    }

    pub(super) fn code(&self) -> Option<&Mapped> {
        self.code.as_ref()
    }

    /// The memory that the component gets by default: less than the limit by a quarter, or by what the host needs if
    /// that is more. A component that reaches its own ceiling fails its requests with a message; one that reaches
    /// the container's is killed without one.
    pub(super) fn memory_below_limit(&self, default: usize) -> usize {
        let Some(limit) = self.memory_limit else {
            return default;
        };
        let rest = limit.saturating_sub(HOST_MEMORY.max(limit / 4));
        usize::try_from(rest).map_or(default, |rest| rest.min(default))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_component_stays_below_the_containers_limit() {
        let below = |limit| Container::new(limit, None).memory_below_limit(128 << 20);
        assert_eq!(below(None), 128 << 20);
        assert_eq!(below(Some(1 << 30)), 128 << 20);
        assert_eq!(below(Some(128 << 20)), 96 << 20);
        assert_eq!(below(Some(32 << 20)), 16 << 20);
        assert_eq!(below(Some(1 << 20)), 0);
    }
}
