//! The lines that errors about a manifest name.

use std::path::Path;

/// A manifest's text and path.
pub(super) struct ManifestText<'t> {
    pub(super) path: &'t Path,
    pub(super) text: &'t str,
}

impl ManifestText<'_> {
    /// Returns an error that names the line of a byte of the text.
    pub(super) fn error(&self, at: usize, what: &str) -> anyhow::Error {
        let what = what.trim().replace('\n', ", ");
        anyhow::anyhow!("{}:{}: {what}", self.path.display(), self.line(at))
    }

    /// Returns the number of the line that contains a byte of the text.
    pub(super) fn line(&self, at: usize) -> usize {
        // An offset may be within a character, or at the end of the text.
        let before = self.text.as_bytes().iter().take(at);
        1 + before.filter(|byte| **byte == b'\n').count()
    }
}
