//! The option that several commands have: the directory to write to.

use anyhow::Result;
use std::path::PathBuf;

/// The directory to write to.
#[derive(clap::Args)]
pub(crate) struct Output {
    /// The directory to write to, instead of the usual one below target/
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

impl Output {
    /// Returns the directory that was given, or the usual one.
    pub(crate) fn or(self, usual: impl FnOnce() -> Result<PathBuf>) -> Result<PathBuf> {
        self.output.map_or_else(usual, Ok)
    }
}
