//! Where in a manifest something is: every error names a line.

use std::path::Path;

/// A manifest's text and the path that errors name.
pub(super) struct ManifestText<'t> {
    pub(super) path: &'t Path,
    pub(super) text: &'t str,
}

impl ManifestText<'_> {
    /// Returns an error with the line of a byte of the text.
    pub(super) fn error(&self, at: usize, what: &str) -> anyhow::Error {
        let what = what.trim().replace('\n', ", ");
        anyhow::anyhow!("{}:{}: {what}", self.path.display(), self.line(at))
    }

    /// Returns the number of the line that has a byte of the text.
    pub(super) fn line(&self, at: usize) -> usize {
        // An offset may lie within a character, or be the text's end.
        let before = self.text.as_bytes().iter().take(at);
        1 + before.filter(|byte| **byte == b'\n').count()
    }
}
