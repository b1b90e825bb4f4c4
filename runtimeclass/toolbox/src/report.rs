//! Error lines in the form of GNU's tools: `tool: operation: reason`.

use std::io::{Error, Write};

/// Returns the text of an error without its number: "No such file or directory".
pub(crate) fn reason(error: &Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((reason, _)) => reason.to_owned(),
        None => text,
    }
}

/// The error lines of one run of a tool.
pub(crate) struct Report<'a> {
    tool: &'static str,
    lines: &'a mut dyn Write,
    failed: bool,
}

impl<'a> Report<'a> {
    /// Makes a report of the tool with this name.
    pub(crate) fn new(tool: &'static str, lines: &'a mut dyn Write) -> Self {
        Self {
            tool,
            lines,
            failed: false,
        }
    }

    /// Writes a line with the tool's name and marks the run as failed.
    pub(crate) fn error(&mut self, line: impl std::fmt::Display) {
        self.failed = true;
        self.note(line);
    }

    /// Writes a line with the tool's name.
    pub(crate) fn note(&mut self, line: impl std::fmt::Display) {
        // If standard error is closed, the exit code still reports the failure.
        let _ = writeln!(self.lines, "{}: {line}", self.tool);
    }

    /// Writes a line without the tool's name.
    pub(crate) fn plain(&mut self, line: impl std::fmt::Display) {
        let _ = writeln!(self.lines, "{line}");
    }

    /// Whether there was an error.
    pub(crate) fn failed(&self) -> bool {
        self.failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_has_no_number() {
        let error = std::fs::File::open("/no/such/file").expect_err("the file does not exist");
        assert_eq!(reason(&error), "No such file or directory");
        assert_eq!(reason(&Error::other("broken")), "broken");
    }
}
