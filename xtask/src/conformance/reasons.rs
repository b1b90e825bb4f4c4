//! The committed reasons for tests that fail: tests/conformance/reasons.toml.

use crate::workspace;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Reasons by suite and test.
type Table = BTreeMap<String, BTreeMap<String, String>>;

/// The reasons.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Reasons {
    /// Why a test passes with runc and fails with preopen, and what would be needed.
    preopen: Table,
    /// Why a test fails with both.
    both: Table,
}

impl Reasons {
    /// Reads the file.
    pub(crate) fn read() -> Result<Self> {
        let path = workspace::root().join("tests/conformance/reasons.toml");
        let describe = || format!("cannot read {}", path.display());
        let text = std::fs::read_to_string(&path).with_context(describe)?;
        toml::from_str(&text).with_context(describe)
    }

    /// Returns why a test fails with preopen alone.
    pub(crate) fn preopen(&self, suite: &str, test: &str) -> Option<&str> {
        Some(self.preopen.get(suite)?.get(test)?)
    }

    /// Returns why a test fails with both.
    pub(crate) fn both(&self, suite: &str, test: &str) -> Option<&str> {
        Some(self.both.get(suite)?.get(test)?)
    }
}
