//! The run as it is told: each step with its duration, the counts that cargo's test runs print, and the closing line.

use crate::command;
use anyhow::{Context, Result};
use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

/// How many tests passed, failed and were skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
    skipped: u64,
}

/// What has happened so far.
#[derive(Default)]
pub(crate) struct Report {
    counts: Counts,
    failures: Vec<String>,
}

impl Report {
    /// A step that is a test itself, such as a lint.
    pub(crate) fn check(&mut self, name: &str, step: impl FnOnce() -> Result<()>) {
        if self.step(name, step) {
            self.counts.passed += 1;
        } else {
            self.counts.failed += 1;
        }
    }

    /// A step that the tests build on; only its failure counts.
    pub(crate) fn build(&mut self, name: &str, step: impl FnOnce() -> Result<()>) -> bool {
        let built = self.step(&format!("build: {name}"), step);
        self.counts.failed += u64::from(!built);
        built
    }

    /// A run of `cargo test`, whose own counts are added up; whether it passed.
    pub(crate) fn tests(&mut self, name: &str, command: Command) -> bool {
        let mut counts = Counts::default();
        let passed = self.step(&format!("test: {name}"), || stream(command, &mut counts));
        // A run that fails with no failed test did not compile, or died.
        if !passed && counts.failed == 0 {
            counts.failed = 1;
        }
        self.counts.passed += counts.passed;
        self.counts.failed += counts.failed;
        self.counts.skipped += counts.skipped;
        passed
    }

    /// Prints the failed steps and the closing line; the exit code of the whole.
    pub(crate) fn close(self) -> ExitCode {
        let Counts {
            passed,
            failed,
            skipped,
        } = self.counts;
        println!();
        for failure in &self.failures {
            println!("FAILED {failure}");
        }
        println!("{passed} passed, {failed} failed, {skipped} skipped");
        if failed == 0 && passed > 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }

    fn step(&mut self, name: &str, step: impl FnOnce() -> Result<()>) -> bool {
        println!("==> {name}");
        let start = Instant::now();
        let result = step();
        let seconds = start.elapsed().as_secs_f64();
        match &result {
            Ok(()) => println!("==> {name}: ok in {seconds:.1} s\n"),
            Err(error) => {
                println!("==> {name}: FAILED after {seconds:.1} s: {error:#}\n");
                self.failures.push(name.to_owned());
            }
        }
        result.is_ok()
    }
}

/// Runs a command, passes its output on line by line, and adds up the result lines in it.
fn stream(mut command: Command, counts: &mut Counts) -> Result<()> {
    let line = command::line(&command);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {line}"))?;
    let mut output = BufReader::new(child.stdout.take().expect("piped"));
    let mut bytes = Vec::new();
    // By bytes: a test may print what is not UTF-8.
    while output.read_until(b'\n', &mut bytes)? > 0 {
        let text = String::from_utf8_lossy(&bytes);
        // `print!`, which libtest captures: this crate's own tests print result lines that must not count.
        print!("{text}");
        if let Some(more) = parse(&text) {
            counts.passed += more.passed;
            counts.failed += more.failed;
            counts.skipped += more.skipped;
        }
        bytes.clear();
    }
    let status = child.wait()?;
    anyhow::ensure!(status.success(), "{line} failed: {status}");
    Ok(())
}

/// Reads `test result: ok. 3 passed; 0 failed; 1 ignored; …`. A failed test prints its captured output, which could
/// hold such a line only indented or quoted, so the line must begin with it.
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

    #[test]
    fn a_command_that_fails_without_a_failed_test_counts_as_one() {
        let mut report = Report::default();
        report.tests("of nothing", Command::new("false"));
        assert_eq!(report.counts.failed, 1);
    }

    #[test]
    fn a_failing_run_is_counted_by_its_failed_tests() {
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "echo 'test result: FAILED. 1 passed; 2 failed; 0 ignored'; exit 101",
        ]);
        let mut report = Report::default();
        report.tests("of sh", command);
        assert_eq!((report.counts.passed, report.counts.failed), (1, 2));
        assert_eq!(report.failures, ["test: of sh"]);
    }
}
