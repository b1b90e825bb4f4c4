//! Runs `cargo test` and counts its tests by libtest's result lines.
//!
//! cargo-nextest would report counts itself, but it starts a process for each test: the suites share one containerd, one
//! cluster and one cache of compiled components among the tests of a process. It would also have to be built first, from
//! some 300 crates.

use anyhow::{Context, Result, ensure};
use std::io::{BufRead, BufReader};
use std::ops::AddAssign;
use std::process::{Command, Stdio};
use visits_support::command::line;

/// How many tests passed, failed and were skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) skipped: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.passed += more.passed;
        self.failed += more.failed;
        self.skipped += more.skipped;
    }
}

/// Runs a command, passes its output on line by line, and adds up the result lines in it.
pub(super) fn run(mut command: Command, counts: &mut Counts) -> Result<()> {
    let line = line(&command);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {line}"))?;
    let mut output = BufReader::new(child.stdout.take().expect("piped"));
    let mut bytes = Vec::new();
    // Bytes, because a test's output may not be UTF-8.
    while output.read_until(b'\n', &mut bytes)? > 0 {
        let text = String::from_utf8_lossy(&bytes);
        // libtest captures `print!`, so the result lines that this crate's own tests print are not counted.
        print!("{text}");
        *counts += parse(&text).unwrap_or_default();
        bytes.clear();
    }
    let status = child.wait()?;
    ensure!(status.success(), "{line} failed: {status}");
    Ok(())
}

/// Reads `test result: ok. 3 passed; 0 failed; 1 ignored; …`, which must be at the beginning of the line: in the output of
/// a failed test, such a line is indented or quoted.
fn parse(line: &str) -> Option<Counts> {
    let (_, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let mut counts = Counts::default();
    for part in numbers.split(';') {
        let Some((number, word)) = part.trim().split_once(' ') else {
            continue;
        };
        let counted = match word {
            "passed" => &mut counts.passed,
            "failed" => &mut counts.failed,
            "ignored" => &mut counts.skipped,
            _ => continue,
        };
        *counted = number.parse().ok()?;
    }
    Some(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_are_counted_and_others_are_not() {
        let line = "test result: FAILED. 31 passed; 2 failed; 5 ignored; 0 measured; 1 filtered out; finished in 0.03s\n";
        let counts = Counts {
            passed: 31,
            failed: 2,
            skipped: 5,
        };
        assert_eq!(parse(line), Some(counts));
        assert_eq!(parse("running 3 tests"), None);
        assert_eq!(parse("  test result: ok. 1 passed; 0 failed"), None);
    }
}
